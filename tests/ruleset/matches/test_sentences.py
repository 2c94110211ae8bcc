"""What the matches say reads on behind "tcp from 10.0.0.0/8 to port 22, …"."""

import pytest

from ruleflow.ruleset.ir import Opaque
from ruleflow.ruleset.shape import reader

SENTENCES = [
    (4, "-m limit --limit 5/min --limit-burst 10", "at most 5 a minute, after a burst of 10"),
    (4, "-m hashlimit --hashlimit-above 10/sec --hashlimit-mode srcip,dstport --hashlimit-name ssh",
     "beyond 10 a second for each source address, destination port, after a burst of 5"),
    (4, "-m recent --update --seconds 60 --hitcount 4 --name ssh",
     'whose source was seen at least 4 times in the last 60 s (list "ssh"), which notes it again'),
    (4, "-m recent --set --name ssh", 'noting its source on the list "ssh"'),
    (4, "-m statistic --mode random --probability 0.25", "25% of the packets, at random"),
    (4, "-m statistic --mode nth --every 3 --packet 0", "one packet in 3, by turns"),
    (4, "-m rpfilter --loose --validmark --invert", "whose source is not reached through any interface, looked up with its mark"),
    (4, "-m string ! --string evil --algo bm", 'not holding "evil"'),
    (4, "-m time --timestart 08:00 --timestop 17:30 --weekdays Mon,Fri", "from 08:00 to 17:30 UTC, on Mon, Fri"),
    (4, "-m dscp --dscp-class EF", "with dscp 46 (EF)"),
    (4, "-m ttl ! --ttl-eq 64", "with a ttl other than 64"),
    (4, "-m length --length 0:100", "of 0 to 100 bytes"),
    (4, "-p tcp -m tcpmss --mss 500:1400", "offering a segment size of 500 to 1400"),
    (4, "-m policy --dir in --pol none", "that came without IPsec"),
    (4, "-m policy --dir out --pol ipsec --proto esp --mode tunnel", "that will go through IPsec (esp, tunnel mode)"),
    (4, "-m quota --quota 1000", "within the first 1000 bytes"),
    (6, "-m hl --hl-eq 255", "with a hop limit of 255"),
    (6, "-m rt --rt-type 0", "with a routing header, of type 0"),
    (6, "-m ipv6header ! --header frag --soft", "with none of these headers: fragment"),
    (6, "-m eui64", "whose source address is made of its mac address"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "options", "sentence"), SENTENCES)
def test_sentence(family: int, options: str, sentence: str) -> None:
    (line,) = reader(family).read(f"-A INPUT {options}")
    assert line.rule is not None
    match = line.rule.matches[-1]
    assert not isinstance(match, Opaque)
    assert ", ".join(words for _, words in match.phrases()) == sentence
