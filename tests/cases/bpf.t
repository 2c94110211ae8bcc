# Packet filter programs: -m bpf
-m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0" ; = ; OK
-m bpf --bytecode "1,6 0 0 65535" ; = ; OK
-m bpf --bytecode "2,6 0 0 65535" ; ; FAIL
-m bpf --bytecode "1,6 0 0" ; ; FAIL
-m bpf --bytecode "0," ; ; FAIL
-m bpf --bytecode "1,6 0 0 1," ; -m bpf --bytecode "1,6 0 0 1" ; OK
-m bpf ; ; FAIL
-m bpf --object-pinned /sys/fs/bpf/gate ; = ; OK
-m bpf --object-pinned /sys/fs/bpf/gate --bytecode "1,6 0 0 1" ; ; FAIL
