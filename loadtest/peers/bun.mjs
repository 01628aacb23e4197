// The official server on Bun's own engine.

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { install, OPTIONS } from "./fixture.mjs";

const io = new Server();
const engine = new Engine(OPTIONS);
io.bind(engine);
install(io);
Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), ...engine.handler() });
