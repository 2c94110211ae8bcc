# The way back to the source: -m rpfilter
*raw
:PREROUTING
-m rpfilter ; = ; OK
-m rpfilter --invert --loose --accept-local --validmark ; -m rpfilter --loose --validmark --accept-local --invert ; OK
-m rpfilter --loose --loose ; ; FAIL
-m rpfilter ! --loose ; ; FAIL
