"""The data of atomforge: atoms, their compositions, and the DataModules that serve them."""
