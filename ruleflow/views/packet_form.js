"use strict";
// What becomes of one packet, looked up in classes computed beforehand (ruleflow/analysis/classes.py).
// Numbers of large levels (IPv6 addresses) are BigInts; a packet is a map from levels to numbers.

function readAddress(text, family) {
  return family === 4 ? readFour(text) : readSix(text);
}

function readFour(text) {
  const parts = text.trim().split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

function readSix(text) {
  text = text.trim().toLowerCase();
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail) {
    const four = readFour(tail[2]);
    if (four === null) return null;
    text = tail[1] + Math.floor(four / 65536).toString(16) + ":" + (four % 65536).toString(16);
  }
  const halves = text.split("::");
  if (halves.length > 2 || text === "") return null;
  const words = (half) => (half === "" ? [] : half.split(":"));
  const left = words(halves[0]);
  const right = halves.length === 2 ? words(halves[1]) : [];
  const missing = 8 - left.length - right.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...left, ...Array(halves.length === 2 ? missing : 0).fill("0"), ...right];
  if (!all.every((word) => /^[0-9a-f]{1,4}$/.test(word))) return null;
  return all.reduce((sum, word) => sum * 65536n + BigInt("0x" + word), 0n);
}

function showAddress(value, family) {
  if (family === 4) return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
  const words = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) words.push(((value >> shift) & 0xffffn).toString(16));
  const runs = words.join(":").match(/(^|:)0(:0)+(?=:|$)/g) || [];
  const longest = runs.sort((a, b) => b.length - a.length)[0];
  return longest ? words.join(":").replace(longest, "::").replace(/:::+/, "::") : words.join(":");
}

function prepare(data) {
  if (data.ready) return data;
  const large = new Set(data.large);
  const read = (level, number) => (large.has(level) ? BigInt(number) : Number(number));
  data.read = read;
  for (const node of data.nodes) if (node[0] >= 0 && large.has(node[0])) node[1] = node[1].map(BigInt);
  data.bounds = data.bounds.map((bound) => read(data.levels.dst, bound));
  data.ready = true;
  return data;
}

function atom(data, name) {
  if (name === "") return 0;
  let best = 1;
  let length = -1;
  data.names.forEach(([, stem, exact], number) => {
    if (number < 2) return;
    if (exact ? stem === name : name.startsWith(stem)) {
      const fits = exact ? Infinity : stem.length;
      if (fits > length) [best, length] = [number, fits];
    }
  });
  return best;
}

function below(bounds, value) {
  let low = 0;
  let high = bounds.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (bounds[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

function after(data, changes, point) {
  const now = new Map();
  for (const [level, kind, one, two] of changes) now.set(level, changed(data, point, level, kind, one, two));
  return now;
}

function changed(data, point, level, kind, one, two) {
  if ("+bgm".includes(kind) && point.get(level) === null) return null;
  switch (kind) {
    case "=": return data.read(level, one);
    case "+": return point.get(level) + (typeof point.get(level) === "bigint" ? BigInt(one) : one);
    case "b": return (point.get(level) & ~one) ^ two;
    case "g": return Math.min(Math.max(point.get(level) + one, 0), 255);
    case "s": return point.get(one);
    case "x": return one.every((each) => each < 1048576 && point.get(each) !== null) ? (one.reduce((sum, each) => sum + point.get(each), 0) + two) & 1 : null;
    case "m": {
      const sum = BigInt(one) + (BigInt(point.get(level)) % BigInt(two));
      return data.read(level, sum);
    }
    default: return null;
  }
}

// Every way through a diagram: what is not known is answered each way once, the same answer all along.
function* ways(data, root, point, told) {
  const node = data.nodes[root];
  if (node[0] < 0) {
    yield { leaf: node, told };
    return;
  }
  const [level, ends, kids] = node;
  if (point.get(level) === null) {
    yield* somewhere(data, node, point, told);
    return;
  }
  if (level < 1048576) {
    const value = point.get(level);
    yield* ways(data, kids[ends.findIndex((end) => value <= end)], point, told);
    return;
  }
  const question = ask(data, data.free[level], level, point);
  if (question.answer !== undefined) {
    yield* ways(data, kids[question.answer], point, told);
    return;
  }
  const known = told.get(question.key);
  for (let answer = 0; answer < kids.length; answer++) {
    if (known !== undefined && known.answer !== answer) continue;
    const more = known ? told : new Map(told).set(question.key, { answer, text: question.text, known: question.known });
    yield* ways(data, kids[answer], point, more);
  }
}

// Nobody knows a field's number: every interval that makes a difference once, and the same number all along.
function* somewhere(data, node, point, told) {
  const [level, ends, kids] = node;
  const key = "level " + level;
  const known = told.get(key);
  for (let number = 0; number < kids.length; number++) {
    let [low, high] = [number ? ends[number - 1] : -1, ends[number]].map((end, at) => (at ? end : typeof end === "bigint" ? end + 1n : end + 1));
    if (known !== undefined) [low, high] = [low > known.low ? low : known.low, high < known.high ? high : known.high];
    if (low > high) continue;
    if (level === data.levels.out && low === high && low === atom(data, "lo")) continue; // what leaves by lo is for this host
    const text = level === data.levels.out ? "it leaves by " + data.names.slice(low, low + 3).map(([words]) => words).join(", ") : data.unknown[level] + " " + (low === high ? low : low + " to " + high);
    yield* ways(data, kids[number], point, new Map(told).set(key, { answer: 1, low, high, text, known: false }));
  }
}

function ask(data, free, level, point) {
  if (!free.side) return { key: "free " + level, text: free.text, known: Boolean(free.known) };
  const at = data.levels[free.side];
  const now = after(data, free.after, point);
  const address = now.has(at) ? now.get(at) : point.get(at);
  if (address === null) return { key: "free " + level, text: free.text, known: true };
  const says = free.says[below(data.bounds, address)];
  if (says !== null) return { answer: says };
  if (free.side === "src") return { answer: Number(free.types.includes(point.get(data.levels.in) === 0 ? "LOCAL" : "UNICAST")) };
  return home(data, address);
}

function home(data, address) {
  return { key: "local " + address, text: showAddress(address, data.family) + " is an address of this host", known: false };
}

function decision(data, name, to, from) {
  const row = data.routes.rows[name][below(data.bounds, to)];
  const kind = row.length === 1 ? row[0] : row[below(data.bounds, from)];
  return data.routes.kinds[kind];
}

// Where the packet goes, each way that is possible: what the host says, or both where nobody knows.
function* routes(data, input, to, told) {
  const [kind, word] = decision(data, input.in, to, input.src);
  if (kind === "fault" || (kind !== "unknown" && data.sure[below(data.bounds, to)])) {
    yield { kind: kind === "fault" && input.in === "" ? "stop" : kind, word, told };
    return;
  }
  const question = home(data, to);
  const known = told.get(question.key);
  for (const answer of [0, 1]) {
    if (known !== undefined && known.answer !== answer) continue;
    const more = known ? told : new Map(told).set(question.key, { answer, text: question.text, known: false });
    yield answer ? { kind: "local", word: "lo", told: more } : { kind: "out", word: kind === "out" ? word : null, told: more };
  }
}

function packetPoint(data, input) {
  const { levels } = data;
  const point = new Map();
  const defaults = data.defaults[input.proto + (input.in === "" ? "send" : "arrive")];
  for (const [level, value] of Object.entries(defaults)) point.set(Number(level), data.read(Number(level), value));
  point.set(levels.src, input.src);
  point.set(levels.dst, input.dst);
  point.set(levels.proto, input.proto);
  if (input.sport !== null) point.set(levels.sport, input.sport);
  if (input.dport !== null) point.set(levels.dport, input.dport);
  if (input.state !== null) point.set(levels.state, input.state);
  point.set(levels.in, atom(data, input.in));
  point.set(levels.out, 0);
  for (const level of Object.keys(data.unknown)) point.set(Number(level), null);
  return point;
}

const MOST_WAYS = 200;

function walkPacket(data, input) {
  prepare(data);
  const found = [];
  const doubts = new Set();
  if (data.policy) doubts.add("ip rules choose the routing table here");
  if (!data.routes.every) doubts.add("the host has too many routes for all sources to be asked beforehand");
  for (const end of input.in === "" ? sent(data, input, doubts) : arrived(data, input, doubts)) {
    found.push(end);
    if (found.length >= MOST_WAYS) break;
  }
  for (const end of found) for (const one of end.told.values()) if (one.known && matters(found)) doubts.add(one.text);
  const verdicts = new Set(found.map((end) => end.verdict));
  const verdict = verdicts.size === 1 && found.length < MOST_WAYS ? found[0].verdict : "UNKNOWN";
  return { verdict, ends: found, doubts: [...doubts] };
}

function matters(found) {
  return new Set(found.map((end) => end.verdict + " " + end.out + " " + end.dst + " " + end.dport)).size > 1;
}

function* arrived(data, input, doubts) {
  const point = packetPoint(data, input);
  if (decision(data, input.in, input.dst, input.src)[0] === "fault") {
    yield stopped("the kernel drops it as it arrives", new Map());
    return;
  }
  for (const { leaf, told } of ways(data, data.roots.before, point, new Map())) {
    if (leaf[1] !== "next") {
      yield ended(data, leaf, point, told, null);
      continue;
    }
    const now = after(data, leaf[2], point);
    const to = now.has(data.levels.dst) ? now.get(data.levels.dst) : input.dst;
    if (to === null) {
      doubts.add("the new destination is one of several");
      continue;
    }
    if (decision(data, input.in, to, input.src)[0] === "unknown") doubts.add("whether a program here has joined the multicast group");
    for (const way of routes(data, input, to, told)) {
      if (way.kind === "stop" || way.kind === "fault") {
        yield stopped("routing: " + way.word, way.told);
        continue;
      }
      if (way.kind === "out" && data.family === 6 && (input.src <= 1n || input.src >> 120n === 255n)) {
        yield stopped("routing: such a source is not forwarded", way.told);
        continue;
      }
      const here = new Map(point);
      here.set(data.levels.out, way.kind === "local" ? 0 : way.word === null ? null : atom(data, way.word));
      const root = way.kind === "local" ? data.roots.in : data.roots.through;
      for (const end of ways(data, root, here, way.told)) {
        translated(data, end.leaf, input.in, way.word, doubts);
        yield ended(data, end.leaf, here, end.told, way.kind === "local" ? null : way.word);
      }
    }
  }
}

function* sent(data, input, doubts) {
  const point = packetPoint(data, input);
  for (const way of routes(data, input, input.dst, new Map())) {
    if (way.kind === "stop") {
      yield stopped("it is not sent: " + way.word, way.told);
      continue;
    }
    const out = way.kind === "local" ? "lo" : way.word;
    const here = new Map(point);
    here.set(data.levels.out, out === null ? null : atom(data, out));
    for (const { leaf, told } of ways(data, data.roots.send, here, way.told)) {
      if (leaf[2].some(([level]) => rerouted(data, level))) doubts.add("what OUTPUT changes makes the kernel look for a route again");
      translated(data, leaf, input.in, out, doubts);
      yield ended(data, leaf, here, told, out === "lo" ? null : out);
    }
  }
}

// MASQUERADE and REDIRECT take an address of an interface, and drop the packet where it has none.
function translated(data, leaf, into, out, doubts) {
  for (const [level, kind] of leaf[2]) {
    const [name, none] = level === data.levels.src ? [out, "out"] : level === data.levels.dst ? [into, "in"] : [null, null];
    if (kind === "?" && name && data.addressless[none].includes(name)) doubts.add("whether " + name + " has an address to give");
  }
}

function rerouted(data, level) {
  return level === data.levels.dst || level === data.levels.tos || (level >= 1024 && level < 1048576);
}

function stopped(why, told) {
  return { verdict: "DROP", why, told, out: null, src: undefined, dst: undefined, sport: undefined, dport: undefined, tags: [] };
}

function ended(data, leaf, point, told, out) {
  const now = after(data, leaf[2], point);
  const { levels } = data;
  const value = (level) => (now.has(level) ? now.get(level) : undefined);
  const [verdict, ...words] = leaf[1].split(" ");
  return {
    verdict: verdict === "next" ? "ACCEPT" : verdict, why: words.join(" "), told, out: verdict === "ACCEPT" || verdict === "next" ? out : null,
    src: value(levels.src), dst: value(levels.dst), sport: value(levels.sport), dport: value(levels.dport), tags: leaf[3],
  };
}

if (typeof module !== "undefined") module.exports = { walkPacket, readAddress, showAddress };
