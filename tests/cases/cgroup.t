:OUTPUT
-m cgroup --cgroup 1048577 ; = ; OK
-m cgroup ! --cgroup 0 ; = ; OK
-m cgroup --cgroup 0x100001 ; -m cgroup --cgroup 1048577 ; OK
-m cgroup --path "system.slice/sshd.service" ; = ; OK
-m cgroup ! --path user ; = ; OK
-m cgroup --path a --cgroup 1 ; ; FAIL
-m cgroup --cgroup one ; ; FAIL
-m cgroup ; ; FAIL
