// The official server on Node, its engine and `ws` as they come.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { install, OPTIONS } from "./fixture.mjs";

const port = Number(process.argv[2]);
const http = createServer();
install(new Server(http, { ...OPTIONS, serveClient: false }));
http.listen({ port, host: "127.0.0.1", backlog: 4096 });
