# Addresses made of MAC addresses: -m eui64
@6
-m eui64 ; = ; OK
