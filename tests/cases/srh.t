# Segment routing header: -m srh
@6
-m srh ; = ; OK
-m srh --srh-next-hdr 17 ! --srh-hdr-len-eq 8 --srh-segs-left-gt 2 --srh-segs-left-lt 9 ; -m srh --srh-next-hdr 17 ! --srh-hdr-len-eq 8 --srh-segs-left-gt 9 --srh-segs-left-lt 9 ; OK
-m srh --srh-hdr-len-gt 8 --srh-hdr-len-lt 10 ! --srh-last-entry-eq 4 --srh-tag 65535 ; -m srh --srh-hdr-len-gt 10 --srh-hdr-len-lt 10 ! --srh-last-entry-eq 4 --srh-tag 65535 ; OK
-m srh --srh-last-entry-gt 1 --srh-last-entry-lt 3 --srh-segs-left-eq 1 --srh-hdr-len-gt 3 ; -m srh --srh-hdr-len-gt 3 --srh-segs-left-eq 1 --srh-last-entry-gt 3 --srh-last-entry-lt 3 ; OK
-m srh --srh-next-hdr 256 ; ; FAIL
-m srh ! --srh-tag 0 ; = ; OK
-m srh --srh-psid 2001:db8::1/64 ! --srh-nsid 2001:db8::2 --srh-lsid ::/0 ; -m srh --srh-psid 2001:db8::1/64 ! --srh-nsid 2001:db8::2/128 --srh-lsid ::/0 ; OK
-m srh --srh-psid 10.0.0.1 ; ; FAIL
