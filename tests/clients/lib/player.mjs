// A player as those in use are: two sockets with the same handshake, a state that is sent when it is asked for and has booleans, a
// snapshot that is a path on its own web server. It pushes nothing by itself over its own socket.

/** What it shows, and how it is. */
export class Player {
  vlc = { connected: true, playing: false, paused: false, stopped: true, currentItem: "spot-1.mp4", position: 0, time: 0, length: 30, volume: 256, random: false, repeat: true, fullscreen: true };
  snapshot = { url: "public/snapshots/snapshot.jpg", createdAt: "2025-08-20T10:00:00.000Z" };
  uptime = 100;
  asked = 0;
  /** Commands it does not answer, and those of its other socket that it says went wrong. */
  deaf = new Set();
  refuses = new Set();

  /** `fleet` is a daemon of the tests; nothing connects yet. */
  constructor(fleet, deviceId, authToken) {
    Object.assign(this, { fleet, deviceId, authToken });
  }

  /** The socket that registers. `SocketClient` of the player's own program. */
  connectMain(options) {
    const socket = this.#socket(options);
    this.main = socket;
    socket.on("connect", () => {
      const { deviceId } = this;
      socket.emit("player:register", { deviceId, deviceName: "Lobby", deviceType: "player", deviceGroup: "g1", appVersion: "2.1", deviceNetwork: "10.0.0.4" });
    });
    socket.on("player:request:state", () => {
      this.asked++;
      socket.emit("player:state", this.state());
    });
    // To this it answers nothing: the next state has another createdAt.
    socket.on("player:request:snapshot", () => this.takes());
    socket.on("player:command", (order) => this.#obeys(order));
    return socket;
  }

  /** The socket of its monitor, which never registers. */
  connectMonitor(options) {
    const socket = this.#socket(options);
    this.monitor = socket;
    socket.on("command", ({ id, type }) => {
      if (this.refuses.has(type)) socket.emit("command:error", { commandId: id, error: `no ${type}` });
    });
    return socket;
  }

  /** Something changes, and the monitor says so. */
  changes(fields) {
    Object.assign(this.vlc, fields);
    this.monitor.emit("state:update", { deviceId: this.deviceId, timestamp: new Date().toISOString(), changes: { vlc: this.vlc } });
  }

  takes() {
    this.snapshot = { ...this.snapshot, createdAt: new Date().toISOString() };
  }

  /** All eight sections. */
  state() {
    const timestamp = new Date().toISOString();
    this.uptime += 1;
    return {
      timestamp,
      system: { hostname: "lobby", platform: "linux", arch: "arm64", cpus: 4, totalMem: 4096, freeMem: 1000 + this.uptime, uptime: this.uptime, loadavg: [0.1, 0.2, this.uptime], network: { eth0: { address: "10.0.0.4", mac: "02:00:00:00:00:01", internal: false } }, timestamp },
      storage: { totalSpace: 32000, freeSpace: 16000, usedSpace: 16000, timestamp },
      vlc: this.vlc,
      app: { deviceId: this.deviceId, deviceName: "Lobby", deviceType: "player", deviceGroup: "g1", version: "2.1", server: { port: 3123 }, startTime: "2025-08-20T09:00:00.000Z" },
      activePlaylist: { playlistName: "morning", playlistPath: "/playlists/morning", isActive: true, currentIndex: 0 },
      defaultPlaylist: {},
      snapshot: this.snapshot,
    };
  }

  #socket(options) {
    return this.fleet.socket({ deviceId: this.deviceId, authToken: this.authToken }, options);
  }

  #obeys({ command, commandId }) {
    if (this.deaf.has(command)) return;
    let result = { success: true, message: "ok" };
    if (command === "vlc:play") Object.assign(this.vlc, { playing: true, stopped: false });
    if (command === "vlc:stop") Object.assign(this.vlc, { playing: false, stopped: true });
    if (command === "vlc:snapshot") {
      this.takes();
      result = { success: true, snapshotPath: this.snapshot.url, fileName: "snapshot.jpg", snapshot: this.snapshot };
    }
    this.main.emit("player:command:response", { commandId, status: "success", result });
  }
}
