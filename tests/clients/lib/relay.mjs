// A TCP relay that can fall silent without closing anything, as a cable does that is pulled, or be as slow as a bad line.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Transform } from "node:stream";
import { sleep } from "./wait.mjs";

/** With `bytesPerSecond` what the client sends passes at that pace only. */
export async function relay(targetPort, { bytesPerSecond } = {}) {
  const pairs = new Set();
  const server = createServer((near) => {
    const far = connect(targetPort, "127.0.0.1");
    pairs.add([near, far]);
    (bytesPerSecond === undefined ? near : near.pipe(slow(bytesPerSecond))).pipe(far).on("error", () => near.destroy());
    far.pipe(near).on("error", () => far.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Nothing passes any more, in either direction, and nothing is closed. */
    cut() {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.pause();
        far.pause();
      }
    },
    close() {
      for (const pair of pairs) pair.forEach((socket) => socket.destroy());
      server.close();
    },
  };
}

/** Lets through so many bytes a second, in small pieces. */
function slow(bytesPerSecond) {
  const pieces = 20;
  const size = Math.ceil(bytesPerSecond / pieces);
  return new Transform({
    highWaterMark: size,
    async transform(chunk, _encoding, done) {
      for (let at = 0; at < chunk.length; at += size) {
        const piece = chunk.subarray(at, at + size);
        await sleep((1_000 / pieces) * (piece.length / size));
        this.push(piece);
      }
      done();
    },
  });
}
