"""`ruleflow reach --service-matrix` of whole files: wall time, CPU time and peak memory of the process.

Budget (issue 6): two ports of the university firewall in 1 s (fffuu: 72 s), of the IPv6 one in 1.2 s, of 12,000
geo-blocking rules in 1.5 s; all ports of the first in 2 s. Run: python benchmarks/bench_reach.py
"""

from bench_lint import SHARED, geo, measure


def main() -> None:
    for name in ("university-firewall-2015", "university-firewall-2016.v6"):
        if (SHARED / name).is_file():
            text = (SHARED / name).read_bytes()
            measure(f"{name}, ports 22 and 80", text, "reach", "--service-matrix", "22,80")
            measure(f"{name}, all ports", text, "reach", "--service-matrix", "all")
            measure(f"{name}, everything", text, "reach")
    for rules in (1_000, 3_000, 12_000, 30_000, 60_000):
        made = "\n".join((*geo(rules), ""))
        measure(
            f"geo-blocking, {rules:,} rules", made, "reach", "--chain", "INPUT", "--service-matrix", "22,80"
        )
    measure("geo-blocking, 12,000 rules, everything", "\n".join((*geo(12_000), "")), "reach")


if __name__ == "__main__":
    main()
