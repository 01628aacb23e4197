// What real devices say, from tests/data/shelly, for a device of a given address; and the two spellings of an id.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const DATA = join(dirname(fileURLToPath(import.meta.url)), "../../../data/shelly");
const RECORDED = "AABBCCDDEEFF";

/** Models by a short name. */
const FILES = {
  "plus-plug-s": "gen2-shelly-plus-plug-s-snpl-00112eu",
  "pro-4pm": "gen2-shelly-pro-4pm-spsw-004pe16eu",
  "plug-s": "gen1-shelly-plug-s-shplg-s",
};

/** A copy of a model's facts, as those of the device with this address (twelve hex digits). */
export function facts(model, mac) {
  const [upper, lower] = [mac.toUpperCase(), mac.toLowerCase()];
  const text = readFileSync(join(DATA, `${FILES[model]}.json`), "utf8");
  return JSON.parse(text.replaceAll(RECORDED, upper).replaceAll(RECORDED.toLowerCase(), lower).replaceAll(RECORDED.slice(6), upper.slice(6)));
}

/** The cloud's spelling of an address in hex: the decimal of the same number. */
export const decimal = (hex) => BigInt(`0x${hex}`).toString();

/** Merges as notifications do: objects into objects, everything else in place of what was. */
export function merge(into, from) {
  for (const [name, value] of Object.entries(from)) {
    const both = isObject(value) && isObject(into[name]);
    if (both) merge(into[name], value);
    else into[name] = structuredClone(value);
  }
  return into;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
