# The processor: -m cpu
-m cpu --cpu 0 ; = ; OK
-m cpu ! --cpu 3 ; = ; OK
-m cpu ; ; FAIL
-m cpu --cpu -1 ; ; FAIL
