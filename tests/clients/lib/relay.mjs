// A TCP relay that can fall silent without closing anything, as a cable does that is pulled.
import { once } from "node:events";
import { connect, createServer } from "node:net";

export async function relay(targetPort) {
  const pairs = new Set();
  const server = createServer((near) => {
    const far = connect(targetPort, "127.0.0.1");
    pairs.add([near, far]);
    near.pipe(far).on("error", () => near.destroy());
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
