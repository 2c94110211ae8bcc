#!/bin/sh
# Does the real iptables-restore take every sample, and does the real iptables-save give it back the same, but for the
# comment lines (they hold the time)? Each in a network namespace of its own, with the backend that wrote it: nft says
# "(nf_tables)" in the first line, legacy does not. Tables are compared one by one, because legacy prints the youngest
# table first. Prints what comes back different; the exit code is 1 if anything does.
set -u
. "$(dirname "$0")/room.sh"
needs "iptables ipset" -- ipset iptables-nft-restore iptables-legacy-restore awk unshare
[ "$(id -u)" = 0 ] || { echo "$0: run me as root" >&2; exit 2; }
cd "$(dirname "$0")/.." || exit 2

again() {  # again PROGRAM FILE: load it (after the sets it names, where they are beside it), print what is then there
    timeout 60 unshare --net sh -c 'if [ -f "${2%.rules}.ipset" ]; then ipset restore <"${2%.rules}.ipset"; fi
        "$1-restore" --counters <"$2" && "$1-save"' sh "$1" "$2" 2>&1
}

tables() {  # tables: the dump on standard input, without comments, table after table in the order of their names
    awk '/^\*/ { table = $0 } !/^#/ { print table "\t" $0 }' | sort --stable --field-separator="$(printf '\t')" --key=1,1
}
failed=0 checked=0
for file in *.rules */ip*tables.save; do
    [ -s "$file" ] || continue
    first=$(head -n 1 "$file")
    case $first in *"by ip6tables-save"*) program=ip6tables ;; *) program=iptables ;; esac
    case $first in *"(nf_tables)"*) program=$program-nft ;; *) program=$program-legacy ;; esac
    checked=$((checked + 1))
    written=$(tables <"$file")
    came_back=$(again $program "$file" | tables)
    if [ "$written" != "$came_back" ]; then
        failed=1
        echo "$file: comes back different from $program-save"
        printf '%s\n%s\n' "$written" "$came_back" | sort | uniq --unique
    fi
done
echo "$checked samples checked"
exit $failed
