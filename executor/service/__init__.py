"""The executor behind HTTP. Started by `atomforge serve`; its client is `executor.service.client`."""
