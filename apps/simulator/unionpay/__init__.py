"""UnionPay's ACP 5.1.0 gateway (全渠道), played from the platform's side."""
