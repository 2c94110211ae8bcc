"""How results are shown: text, graph, HTML, SARIF."""
