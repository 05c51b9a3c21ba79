"""Studies: `plan` defines one, `fingerprint` names its arms, `arm` trains one, `schedule` orders them."""
