// Walks packets by the report's own script: reads {"data", "packets"} on standard input, prints the answers.
const { walkPacket, readAddress, showAddress } = require("../../../ruleflow/views/packet_form.js");

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => {
  const { data, packets } = JSON.parse(input);
  const answers = packets.map((packet) => {
    const asked = { ...packet, src: readAddress(packet.src, data.family), dst: readAddress(packet.dst, data.family) };
    const { verdict, doubts, ends } = walkPacket(data, asked);
    const [{ out, dst, dport }] = ends.length ? ends : [{}];
    const to = dst === undefined || dst === null ? null : showAddress(dst, data.family);
    return { verdict, doubts, ways: ends.length, out: out ?? null, dst: to, dport: dport ?? null };
  });
  console.log(JSON.stringify(answers));
});
