# LED
-j LED --led-trigger-id "ssh" ; = ; OK
-j LED --led-trigger-id ssh --led-always-blink --led-delay 1000 ; -j LED --led-trigger-id "ssh" --led-delay 1000 --led-always-blink ; OK
-j LED --led-trigger-id "say \"x\"" ; = ; OK
-j LED --led-trigger-id ssh --led-delay 0 ; -j LED --led-trigger-id "ssh" ; OK
-j LED --led-trigger-id "ssh" --led-delay inf ; = ; OK
-j LED ; ; FAIL
-j LED --led-trigger-id abcdefghijklmnopq ; ; FAIL
-j LED --led-trigger-id ssh --led-delay -1 ; ; FAIL
