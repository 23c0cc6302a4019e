"""The simulated Shouqianba (收钱吧): terminals, the Web API, the WAP2 gateway, callbacks, the console's export."""
