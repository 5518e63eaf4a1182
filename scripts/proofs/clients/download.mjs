// Downloads as a program would that runs on Node: node download.mjs '{"address", "folder", "headers", "begun"}'
// Prints what it has: {"name", "etag", "whole"}. With `begun`, such an object, it asks for the rest alone.
import { appendFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const { address, folder, headers, begun } = JSON.parse(process.argv[2]);
if (begun) {
  headers["Range"] = `bytes=${statSync(join(folder, begun.name)).size}-`;
  headers["If-Range"] = begun.etag;
}
const response = await fetch(address, { headers });
if (!response.ok) throw new Error(`${response.status} for ${address}`);
const given = /filename="([^"]*)"/.exec(response.headers.get("content-disposition") ?? "");
const name = given ? given[1] : basename(new URL(response.url).pathname);
const file = join(folder, name);
if (response.status !== 206) writeFileSync(file, "");
let whole = true;
try {
  for await (const piece of response.body) appendFileSync(file, piece);
} catch (error) {
  whole = false;
}
console.log(JSON.stringify({ name, etag: response.headers.get("etag"), whole }));
