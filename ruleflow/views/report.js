// The page works without this: it lights up what belongs together, searches, and walks packets.
const byRule = new Map();
for (const element of document.querySelectorAll("[data-rule]")) {
  const key = element.dataset.rule;
  if (!byRule.has(key)) byRule.set(key, []);
  byRule.get(key).push(element);
}
let lit = [];
function light(event) {
  const at = event.target.closest ? event.target.closest("[data-rule]") || event.target.querySelector?.(":scope > [data-rule]") : null;
  for (const element of lit) element.classList.remove("lit");
  lit = at ? byRule.get(at.dataset.rule) || [] : [];
  for (const element of lit) element.classList.add("lit");
}
document.addEventListener("mouseover", light);
document.addEventListener("focusin", light);

function openAt() {
  const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
  for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  if (target) target.scrollIntoView({ block: "center" });
}
addEventListener("hashchange", openAt);
openAt();
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));

const search = document.getElementById("search");
document.getElementById("searching").hidden = false;
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const chain of document.querySelectorAll("#chains details")) {
    let any = false;
    for (const row of chain.querySelectorAll("tbody tr")) {
      const text = (chain.dataset.name + " " + row.textContent).toLowerCase();
      const fits = words.every((word) => text.includes(word));
      row.classList.toggle("hide", !fits);
      any = any || fits;
      shown += fits ? 1 : 0;
    }
    chain.classList.toggle("hide", words.length > 0 && !any);
    if (words.length > 0 && any) chain.open = true;
  }
  document.getElementById("found").textContent = words.length ? shown + " rules found" : "";
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    search.focus();
  }
});

const form = document.getElementById("packet");
const block = document.getElementById("classes");
if (form && block) {
  const data = JSON.parse(block.textContent);
  const names = { tcp: 6, udp: 17, icmp: data.family === 4 ? 1 : 58 };
  const field = (name) => form.elements.namedItem(name).value.trim();
  form.hidden = false;
  const port = (name) => {
    const text = field(name);
    return /^\d{1,5}$/.test(text) && Number(text) < 65536 ? Number(text) : NaN;
  };
  const answer = () => {
    const proto = names[field("proto")];
    const ported = field("proto") !== "icmp";
    const input = {
      proto, src: readAddress(field("src"), data.family), dst: readAddress(field("dst"), data.family),
      sport: ported ? port("sport") : null, dport: ported ? port("dport") : null, in: field("in"),
      state: field("state") === "" ? null : Number(field("state")),
    };
    const output = document.getElementById("answer");
    if (input.src === null || input.dst === null) output.textContent = "This is no IPv" + data.family + " address: " + field(input.src === null ? "src" : "dst");
    else if (Number.isNaN(input.sport) || Number.isNaN(input.dport)) output.textContent = "A port is a number from 0 to 65535.";
    else output.textContent = say(walkPacket(data, input), input, data);
  };
  const command = () => {
    const six = data.family === 6;
    const end = (address, number) => (field("proto") === "icmp" ? field(address) : (six ? "[" + field(address) + "]" : field(address)) + ":" + field(number));
    const kind = field("proto") === "icmp" ? (six ? "icmpv6 echo-request" : "icmp echo-request") : field("proto");
    const state = ["invalid", "new", "established", "related", "untracked"][Number(field("state"))];
    return [kind, end("src", "sport"), end("dst", "dport"), field("in") && "in " + field("in"), field("state") && "state " + state].filter(Boolean).join(" ");
  };
  function say(found, input, data) {
    const lines = [found.verdict];
    for (const end of found.ends.slice(0, 8)) {
      const conditions = [...end.told.values()].map((one) => (one.answer ? "if " : "if not: ") + one.text);
      const parts = [end.verdict + (end.why ? " (" + end.why + ")" : "")];
      const to = [end.dst === undefined ? null : end.dst === null ? "an address that only the host knows" : showAddress(end.dst, data.family), end.dport === undefined ? null : end.dport === null ? "a port not known" : end.dport];
      if (to[0] !== null || to[1] !== null) parts.push("destination now " + to.filter((one) => one !== null).join(":"));
      if (end.src !== undefined) parts.push("source now " + (end.src === null ? "an address of the interface or of a range" : showAddress(end.src, data.family)));
      if (end.out) parts.push("leaves by " + end.out);
      for (const [kind, words] of end.tags) parts.push(kind + ": " + words);
      lines.push((conditions.length ? conditions.join(", ") + ": " : "") + parts.join("; "));
    }
    if (found.ends.length > 8) lines.push("and " + (found.ends.length - 8) + " more ways");
    for (const doubt of found.doubts) lines.push("Not exact here: " + doubt + ".");
    lines.push("Rule by rule: ruleflow walk " + form.dataset.dump + " " + command());
    return lines.join("\n");
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer();
  });
}
