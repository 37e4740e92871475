// The check of a case package, as in verify.py and `liuhen verify`: the same checks in the same order with the same codes.
// Nothing here touches the page. Source: docs/formats/case-package.md and what it names.

const VALID = "valid";
const INVALID = "invalid";
const OPEN = "indeterminate";

const MANIFESTS = ["manifest-sha256.txt", "manifest-sha512.txt"];
const TAG_MANIFESTS = ["tagmanifest-sha256.txt", "tagmanifest-sha512.txt"];
const SIGNED = TAG_MANIFESTS.flatMap((name) => [`sig/${name}.p7s`, `sig/${name}.p7s.tsr`]);
const BAGIT = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
const HEX_CHARS = { sha256: 64, sha512: 128 };

const MIB = 1024 * 1024;
const MOST = { text: 256 * MIB, entry: 65535, note: MIB, proof: MIB + 256 * 1024, detail: MIB, signature: 64 * 1024, trust: 256 * 1024 };
const CLOCKS_DIFFER_MS = 5 * 60 * 1000;
const MOST_DEPTH = 64;
const MOST_CERTIFICATES = 32;

class Malformed extends Error {}
class Refused extends Malformed {}
class NotChecked extends Error {}

function demand(holds, message) {
  if (!holds) throw new Malformed(message);
}

function worst(outcomes) {
  const seen = new Set(outcomes);
  if (seen.has(INVALID)) return INVALID;
  return seen.has(OPEN) || seen.size === 0 ? OPEN : VALID;
}

// ---- bytes and texts ----------------------------------------------------------------------------------------------

const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text);
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOfHex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));

function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed("not UTF-8");
  }
}

function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function same(one, two) {
  return one.length === two.length && one.every((byte, index) => byte === two[index]);
}

// Orders texts by code points, as the bytes of UTF-8 do.
function byCodePoint(one, two) {
  const left = Array.from(one);
  const right = Array.from(two);
  for (let index = 0; index < Math.min(left.length, right.length); index += 1) {
    const difference = left[index].codePointAt(0) - right[index].codePointAt(0);
    if (difference) return difference;
  }
  return left.length - right.length;
}

function unbase64(text) {
  demand(/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0, "not base64");
  const raw = atob(text);
  demand(btoa(raw) === text, "not canonical base64");
  return Uint8Array.from(raw, (char) => char.charCodeAt(0));
}

const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

async function digest(name, ...parts) {
  const algorithm = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" }[name];
  return new Uint8Array(await crypto.subtle.digest(algorithm, concat(...parts)));
}

// ---- canonical JSON (RFC 8785, without floats) --------------------------------------------------------------------

function canonical(value) {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    demand(Number.isSafeInteger(value), "a number is not an integer");
    return String(value);
  }
  if (typeof value === "string") {
    demand(!/[\ud800-\udfff]/u.test(value), "a lone surrogate");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const members = Object.keys(value).sort().map((key) => `${canonical(key)}:${canonical(value[key])}`);
  return `{${members.join(",")}}`;
}

function parseCanonical(bytes) {
  const text = textOf(bytes);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Malformed("not JSON");
  }
  try {
    demand(canonical(value) === text, "not canonical JSON");
  } catch (error) {
    if (error instanceof RangeError) throw new Malformed("too deep");
    throw error;
  }
  return value;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isHex = (value, chars) => typeof value === "string" && value.length === chars && /^[0-9a-f]*$/.test(value);
const own = (value, key) => (Object.hasOwn(value, key) ? value[key] : undefined);

// ---- DER (X.690), strictly ------------------------------------------------------------------------------------------

const INTEGER = 0x02;
const BITS = 0x03;
const OCTETS = 0x04;
const OID = 0x06;
const SEQUENCE = 0x30;
const SET = 0x31;
const UTC_TIME = 0x17;
const GENERAL_TIME = 0x18;
const EXPLICIT_0 = 0xa0;
const EXPLICIT_3 = 0xa3;

function headerSize(raw) {
  demand(raw.length >= 2 && raw[1] !== 0x80 && raw[1] !== 0xff, "a length is missing or indefinite");
  const size = raw[1] < 0x80 ? 2 : 2 + (raw[1] & 0x7f);
  demand(size <= Math.min(raw.length, 6), "a length is cut off or too large");
  return size;
}

class Reader {
  constructor(contents) {
    this.rest = contents;
  }

  takeWhole(tag) {
    const rest = this.rest;
    demand(rest.length > 0 && (tag === undefined || rest[0] === tag), "another element is expected");
    const start = headerSize(rest);
    const size = start === 2 ? rest[1] : rest.subarray(2, start).reduce((sum, byte) => sum * 256 + byte, 0);
    demand(start === 2 || (size >= 0x80 && rest[2] !== 0), "a length is not in its shortest form");
    demand(start + size <= rest.length, "an element ends after its container");
    this.rest = rest.subarray(start + size);
    return rest.subarray(0, start + size);
  }

  take(tag) {
    const whole = this.takeWhole(tag);
    return whole.subarray(headerSize(whole));
  }

  enter(tag) {
    return new Reader(this.take(tag));
  }

  before(tag) {
    return this.rest[0] === tag;
  }

  end() {
    demand(this.rest.length === 0, "something follows where nothing may");
  }
}

function element(tag, ...contents) {
  const body = concat(...contents);
  if (body.length < 0x80) return concat([tag, body.length], body);
  const length = [];
  for (let left = body.length; left > 0; left = Math.floor(left / 256)) length.unshift(left % 256);
  return concat([tag, 0x80 | length.length, ...length], body);
}

const sequence = (...contents) => element(SEQUENCE, ...contents);
const setOf = (...contents) => element(SET, ...contents.sort((one, two) => (hexOf(one) < hexOf(two) ? -1 : 1)));

function oid(dotted) {
  const [first, second, ...others] = dotted.split(".").map(Number);
  const body = [];
  for (const arc of [first * 40 + second, ...others]) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(0x80 | (left & 0x7f));
    body.push(...groups);
  }
  return element(OID, body);
}

const NULL = [0x05, 0x00];
const VERSION_1 = element(INTEGER, [1]);
const VERSION_3 = element(INTEGER, [3]);
const GRANTED = sequence(element(INTEGER, [0]));
const DATA = hexOf(oid("1.2.840.113549.1.7.1"));
const SIGNED_DATA = oid("1.2.840.113549.1.7.2");
const TST_INFO = oid("1.2.840.113549.1.9.16.1.4");
const [CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME] = [3, 4, 5].map((arc) => hexOf(oid(`1.2.840.113549.1.9.${arc}`)));
const CERTIFICATE_V2 = hexOf(oid("1.2.840.113549.1.9.16.2.47"));
const HASH_NAMES = ["sha256", "sha384", "sha512"];
const HASH_OIDS = HASH_NAMES.map((_, index) => oid(`2.16.840.1.101.3.4.2.${index + 1}`));
const DIGEST_ALGORITHMS = new Map(
  HASH_NAMES.flatMap((name, index) => [[], NULL].map((more) => [hexOf(sequence(HASH_OIDS[index], more)), name])),
);
const ECDSA = new Map(HASH_NAMES.map((name, index) => [hexOf(sequence(oid(`1.2.840.10045.4.3.${index + 2}`))), name]));
const RSA = new Map(
  HASH_NAMES.map((name, index) => [hexOf(sequence(oid(`1.2.840.113549.1.1.${index + 11}`), NULL)), name]),
);
const RSA_BARE = hexOf(sequence(oid("1.2.840.113549.1.1.1"), NULL));
const EC_CURVES = new Map(
  [["1.2.840.10045.3.1.7", "P-256", 32], ["1.3.132.0.34", "P-384", 48], ["1.3.132.0.35", "P-521", 66]].map(
    ([arcs, name, size]) => [hexOf(sequence(oid("1.2.840.10045.2.1"), oid(arcs))), { name, size }],
  ),
);
const [SUBJECT_KEY, KEY_USAGE, ALTERNATIVE, BASIC, POLICIES, AUTHORITY_KEY, EXTENDED] = [14, 15, 17, 19, 32, 35, 37].map(
  (arc) => hexOf(oid(`2.5.29.${arc}`)),
);
const UNDERSTOOD = new Set([SUBJECT_KEY, KEY_USAGE, ALTERNATIVE, BASIC, POLICIES, AUTHORITY_KEY, EXTENDED]);
const FOR_DOCUMENTS = new Set([4, 36].map((arc) => hexOf(oid(`1.3.6.1.5.5.7.3.${arc}`))));
const FOR_TIME = hexOf(oid("1.3.6.1.5.5.7.3.8"));

function instant(digits) {
  const [year, month, day, hour, minute, second] = [[0, 4], [4, 6], [6, 8], [8, 10], [10, 12], [12, 14]].map(
    ([from, to]) => Number(digits.slice(from, to)),
  );
  const at = new Date(Date.UTC(2000, month - 1, day, hour, minute, second));
  at.setUTCFullYear(year, month - 1, day);
  const fits = at.getUTCMonth() === month - 1 && at.getUTCDate() === day && at.getUTCHours() === hour;
  demand(fits && year > 0 && at.getUTCMinutes() === minute && at.getUTCSeconds() === second, "a time is none");
  return at.getTime();
}

function latinOf(bytes) {
  return String.fromCharCode(...bytes);
}

function takeTime(reader) {
  const isShort = reader.before(UTC_TIME);
  let text = latinOf(reader.take(isShort ? UTC_TIME : GENERAL_TIME));
  if (isShort) text = (text < "50" ? "20" : "19") + text;
  demand(/^[0-9]{14}Z$/.test(text), "a time is not in its one form");
  demand((text.slice(0, 4) >= "1950" && text.slice(0, 4) < "2050") === isShort, "a time is not in its one form");
  return instant(text);
}

const toTime = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

// ---- bare signatures ------------------------------------------------------------------------------------------------

// An ECDSA signature as WebCrypto wants it: r and s side by side. Null for anything but strict DER of two numbers in range.
function rawEcdsa(signature, size) {
  try {
    const reader = new Reader(signature).enter(SEQUENCE);
    demand(same(element(SEQUENCE, new Reader(signature).take(SEQUENCE)), signature), "not whole");
    const parts = [reader.take(INTEGER), reader.take(INTEGER)].map((value) => {
      demand(value.length > 0 && value[0] < 0x80, "a negative number");
      demand(value[0] !== 0 || (value.length > 1 && value[1] >= 0x80), "not in its shortest form");
      const bare = value[0] === 0 ? value.subarray(1) : value;
      demand(bare.length <= size, "too large");
      return concat(new Uint8Array(size - bare.length), bare);
    });
    reader.end();
    return concat(...parts);
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

async function signatureVerifies(key, hashName, signature, message) {
  const hash = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" }[hashName];
  const curve = EC_CURVES.get(hexOf(keyAlgorithm(key)));
  const kind = curve ? { name: "ECDSA", namedCurve: curve.name } : { name: "RSASSA-PKCS1-v1_5", hash };
  const raw = curve ? rawEcdsa(signature, curve.size) : signature;
  if (raw === null) return false;
  try {
    const imported = await crypto.subtle.importKey("spki", key, kind, false, ["verify"]);
    return await crypto.subtle.verify(curve ? { name: "ECDSA", hash } : kind, imported, raw, message);
  } catch {
    return false;
  }
}

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const mod = (value) => ((value % P) + P) % P;

function power(base, exponent) {
  let result = 1n;
  for (let left = exponent, value = mod(base); left > 0n; left >>= 1n, value = mod(value * value)) {
    if (left & 1n) result = mod(result * value);
  }
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));
const ROOT_OF_MINUS_1 = power(2n, (P - 1n) / 4n);
const ORDER_8_Y = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const SMALL_ORDER_Y = new Set([0n, 1n, P - 1n, P, P + 1n, ORDER_8_Y, P - ORDER_8_Y]);
const littleEndian = (bytes) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

function addPoints(p, q) {
  const a = mod((p[1] - p[0]) * (q[1] - q[0]));
  const b = mod((p[1] + p[0]) * (q[1] + q[0]));
  const c = mod(2n * p[3] * q[3] * D);
  const d = mod(2n * p[2] * q[2]);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function timesPoint(scalar, point) {
  let result = [0n, 1n, 1n, 0n];
  for (let left = scalar, value = point; left > 0n; left >>= 1n, value = addPoints(value, value)) {
    if (left & 1n) result = addPoints(result, value);
  }
  return result;
}

function decompress(bytes) {
  const whole = littleEndian(bytes);
  const [sign, y] = [whole >> 255n, whole & (2n ** 255n - 1n)];
  const square = mod((y * y - 1n) * power(D * y * y + 1n, P - 2n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x - square)) x = mod(x * ROOT_OF_MINUS_1);
  if (mod(x * x - square) || (x === 0n && sign)) return null;
  if ((x & 1n) !== sign) x = P - x;
  return [x, mod(y), 1n, mod(x * mod(y))];
}

const BASE = (() => {
  let value = mod(4n * power(5n, P - 2n));
  return decompress(Uint8Array.from({ length: 32 }, () => {
    const byte = Number(value & 255n);
    value >>= 8n;
    return byte;
  }));
})();

// RFC 8032 section 5.1.7, for browsers whose WebCrypto has no Ed25519.
async function ed25519ByHand(key, signature, message) {
  const point = decompress(key);
  const scalar = littleEndian(signature.subarray(32));
  if (point === null || scalar >= L) return false;
  const hashed = littleEndian(await digest("sha512", signature.subarray(0, 32), key, message)) % L;
  const minus = [mod(-point[0]), point[1], point[2], mod(-point[3])];
  const [px, py, pz] = addPoints(timesPoint(scalar, BASE), timesPoint(hashed, minus));
  const inverse = power(pz, P - 2n);
  const [x, y] = [mod(px * inverse), mod(py * inverse)];
  return (y | ((x & 1n) << 255n)) === littleEndian(signature.subarray(0, 32));
}

async function ed25519Verifies(key, signature, message) {
  if (key.length !== 32 || signature.length !== 64) return false;
  if (SMALL_ORDER_Y.has(littleEndian(key) & (2n ** 255n - 1n))) return false;
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return ed25519ByHand(key, signature, message);
  }
  return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
}

// ---- certificates (RFC 5280) ----------------------------------------------------------------------------------------

const keyAlgorithm = (key) => new Reader(key).enter(SEQUENCE).takeWhole(SEQUENCE);

function rsaBits(key) {
  const reader = new Reader(key).enter(SEQUENCE);
  reader.takeWhole(SEQUENCE);
  const modulus = new Reader(reader.take(BITS).subarray(1)).enter(SEQUENCE).take(INTEGER);
  return modulus.length === 0 ? 0 : BigInt(`0x${hexOf(modulus)}`).toString(2).length;
}

function keyKind(key, leastBits) {
  const algorithm = hexOf(keyAlgorithm(key));
  if (EC_CURVES.has(algorithm)) return "ecdsa";
  if (algorithm === RSA_BARE && rsaBits(key) >= leastBits) return "rsa";
  throw new Refused("the key is of another kind or too weak");
}

class Certificate {
  constructor(raw) {
    this.raw = raw;
    const outer = new Reader(raw);
    const certificate = outer.enter(SEQUENCE);
    outer.end();
    this.signed = certificate.takeWhole(SEQUENCE);
    this.algorithm = hexOf(certificate.takeWhole(SEQUENCE));
    const bits = certificate.take(BITS);
    certificate.end();
    demand(bits[0] === 0, "a signature is not whole bytes");
    this.signature = bits.subarray(1);
    const part = new Reader(this.signed).enter(SEQUENCE);
    demand(same(part.takeWhole(EXPLICIT_0), element(EXPLICIT_0, element(INTEGER, [2]))), "not a version 3 certificate");
    part.takeWhole(INTEGER);
    demand(hexOf(part.takeWhole(SEQUENCE)) === this.algorithm, "two algorithms");
    this.issuer = hexOf(part.takeWhole(SEQUENCE));
    const times = part.enter(SEQUENCE);
    this.begins = takeTime(times);
    this.ends = takeTime(times);
    times.end();
    this.subject = hexOf(part.takeWhole(SEQUENCE));
    this.key = part.takeWhole(SEQUENCE);
    this.extensions = Certificate.extensionsOf(part);
  }

  static extensionsOf(part) {
    const found = new Map();
    if (part.rest.length === 0) return found;
    const outer = part.enter(EXPLICIT_3);
    part.end();
    const reader = outer.enter(SEQUENCE);
    outer.end();
    while (reader.rest.length > 0) {
      const one = reader.enter(SEQUENCE);
      const kind = hexOf(one.takeWhole(OID));
      const critical = one.before(0x01) && hexOf(one.take(0x01)) === "ff";
      demand(!found.has(kind), "an extension stands twice");
      found.set(kind, { critical, value: one.take(OCTETS) });
      one.end();
    }
    return found;
  }

  read(kind, tag) {
    return new Reader(this.extensions.get(kind).value).take(tag);
  }

  covers(at) {
    return this.begins <= at && at <= this.ends;
  }

  usage() {
    if (!this.extensions.has(KEY_USAGE)) return new Set();
    const octets = this.read(KEY_USAGE, BITS).subarray(1);
    return new Set(Array.from({ length: octets.length * 8 }, (_, bit) => bit).filter((bit) => octets[bit >> 3] & (0x80 >> bit % 8)));
  }

  purposes() {
    if (!this.extensions.has(EXTENDED)) return null;
    const reader = new Reader(this.read(EXTENDED, SEQUENCE));
    const found = [];
    while (reader.rest.length > 0) found.push(hexOf(reader.takeWhole(OID)));
    return found;
  }

  room() {
    if (!this.extensions.has(BASIC)) return null;
    const reader = new Reader(this.read(BASIC, SEQUENCE));
    if (!reader.before(0x01) || hexOf(reader.take(0x01)) !== "ff") return null;
    if (this.extensions.has(KEY_USAGE) && !this.usage().has(5)) return null;
    return reader.rest.length > 0 ? reader.take(INTEGER).reduce((sum, byte) => sum * 256 + byte, 0) : MOST_DEPTH;
  }

  isUnderstood() {
    return [...this.extensions].every(([kind, { critical }]) => !critical || UNDERSTOOD.has(kind));
  }

  keyName() {
    return this.extensions.has(SUBJECT_KEY) ? hexOf(this.read(SUBJECT_KEY, OCTETS)) : null;
  }

  issuerKeyName() {
    if (!this.extensions.has(AUTHORITY_KEY)) return null;
    const reader = new Reader(this.read(AUTHORITY_KEY, SEQUENCE));
    return reader.before(0x80) ? hexOf(reader.take(0x80)) : null;
  }
}

function parsePem(bytes) {
  const text = textOf(bytes);
  demand(/^[\0-\x7f]*$/.test(text), "not PEM");
  const blocks = [...text.matchAll(/-----BEGIN CERTIFICATE-----[ \t\r\n]([\s\S]*?)-----END CERTIFICATE-----/g)];
  demand(blocks.length <= MOST_CERTIFICATES, "too many certificates");
  return blocks.map(([, block]) => new Certificate(unbase64(block.replace(/[ \t\r\n]/g, ""))));
}

async function isIssuedBy(certificate, issuer) {
  if (certificate.issuer !== issuer.subject) return false;
  const hashName = ECDSA.get(certificate.algorithm) || RSA.get(certificate.algorithm);
  try {
    if (!hashName || keyKind(issuer.key, 2048) !== (ECDSA.has(certificate.algorithm) ? "ecdsa" : "rsa")) return false;
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
  return signatureVerifies(issuer.key, hashName, certificate.signature, certificate.signed);
}

class Chains {
  constructor(pool, pinned, pinnedForTime = new Set()) {
    this.pool = pool;
    this.pinned = pinned;
    this.pinnedForTime = pinnedForTime;
  }

  reachesForTime(certificate, at) {
    return new Chains(this.pool, new Set([...this.pinned, ...this.pinnedForTime])).reaches(certificate, at);
  }

  async isForged(certificate) {
    const wanted = certificate.issuerKeyName();
    const named = this.pool.filter(
      (each) => each.subject === certificate.issuer && (wanted === null || wanted === each.keyName()),
    );
    for (const each of named) if (await isIssuedBy(certificate, each)) return false;
    return named.length > 0;
  }

  async reaches(certificate, at, below = 0, seen = new Set()) {
    // What was in vain at this height once need not be tried again: certificates can be made to issue each other.
    const place = `${below} ${hexOf(certificate.raw)}`;
    if (seen.has(place) || !certificate.covers(at) || !certificate.isUnderstood()) return false;
    seen.add(place);
    for (const issuer of this.pool) {
      const room = issuer.room();
      if (room === null || room < below || !issuer.covers(at) || !issuer.isUnderstood()) continue;
      if (same(issuer.raw, certificate.raw) || !(await isIssuedBy(certificate, issuer))) continue;
      if (this.pinned.has(hexOf(await digest("sha256", issuer.raw)))) return true;
      if (below < 4 && (await this.reaches(issuer, at, below + 1, seen))) return true;
    }
    return false;
  }
}

// ---- signatures over manifests (RFC 5652, CAdES B-B) and timestamps (RFC 3161) --------------------------------------

function nameOf(certificate) {
  const part = new Reader(certificate).enter(SEQUENCE).enter(SEQUENCE);
  if (part.before(EXPLICIT_0)) part.take(EXPLICIT_0);
  const serial = part.takeWhole(INTEGER);
  part.take(SEQUENCE);
  return { issuer: part.takeWhole(SEQUENCE), serial };
}

function issuerAndSerial(certificate) {
  const { issuer, serial } = nameOf(certificate);
  return sequence(issuer, serial);
}

// Every ESSCertIDv2 that names this one certificate (RFC 5035), in hexadecimal.
async function references(certificate) {
  const { issuer, serial } = nameOf(certificate);
  const names = sequence(sequence(element(0xa4, issuer)), serial);
  const found = new Map();
  for (const [index, hashName] of HASH_NAMES.entries()) {
    const start = hashName === "sha256" ? [] : [sequence(HASH_OIDS[index])];
    start.push(element(OCTETS, await digest(hashName, certificate)));
    for (const one of [sequence(...start), sequence(...start, names)]) found.set(hexOf(one), one);
  }
  return found;
}

function signatureKind(identifier, hashName) {
  if (ECDSA.get(identifier) === hashName) return "ecdsa";
  if (RSA.get(identifier) === hashName || identifier === RSA_BARE) return "rsa";
  throw new Refused("the signature algorithm is not on the list");
}

function contentDigest(signed) {
  const reader = new Reader(signed.found.get(MESSAGE_DIGEST));
  const value = reader.take(OCTETS);
  reader.end();
  return value;
}

function takeSigner(reader) {
  const signer = reader.enter(SET).enter(SEQUENCE);
  signer.take(INTEGER);
  const named = signer.takeWhole(SEQUENCE);
  const digestAlgorithm = signer.takeWhole(SEQUENCE);
  const attributes = element(SET, signer.take(EXPLICIT_0));
  const algorithm = signer.takeWhole(SEQUENCE);
  return { named, digestAlgorithm, attributes, algorithm, signature: signer.take(OCTETS) };
}

function putSigner({ digestAlgorithm, attributes, algorithm, signature }, named) {
  const bare = concat([EXPLICIT_0], attributes.subarray(1));
  return sequence(VERSION_1, named, digestAlgorithm, bare, algorithm, element(OCTETS, signature));
}

function takeSignature(raw) {
  demand(raw.length <= MOST.signature, "too large");
  const outer = new Reader(raw).enter(SEQUENCE);
  outer.take(OID);
  const data = outer.enter(EXPLICIT_0).enter(SEQUENCE);
  for (const tag of [INTEGER, SET, SEQUENCE]) data.take(tag);
  const certificate = data.enter(EXPLICIT_0).takeWhole(SEQUENCE);
  const signer = takeSigner(data);
  const again = sequence(
    VERSION_1,
    setOf(signer.digestAlgorithm),
    sequence(bytesOfHex(DATA)),
    element(EXPLICIT_0, certificate),
    setOf(putSigner(signer, issuerAndSerial(certificate))),
  );
  demand(same(sequence(SIGNED_DATA, element(EXPLICIT_0, again)), raw), "it holds something that is not signed");
  const hashName = DIGEST_ALGORITHMS.get(hexOf(signer.digestAlgorithm));
  if (!hashName) throw new Refused("the hash algorithm is not on the list");
  const found = new Map();
  const reader = new Reader(new Reader(signer.attributes).take(SET));
  for (let count = 0; count < 4; count += 1) {
    const attribute = reader.enter(SEQUENCE);
    found.set(hexOf(attribute.takeWhole(OID)), attribute.take(SET));
  }
  const wanted = [CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME, CERTIFICATE_V2];
  demand(found.size === 4 && wanted.every((kind) => found.has(kind)), "not the four signed attributes");
  const whole = setOf(...[...found].map(([kind, value]) => sequence(bytesOfHex(kind), element(SET, value))));
  demand(same(whole, signer.attributes), "the signed attributes are not in their one form");
  demand(hexOf(found.get(CONTENT_TYPE)) === DATA, "another type of content");
  const signed = { ...signer, certificate, hashName, found };
  contentDigest(signed);
  signed.kind = signatureKind(hexOf(signer.algorithm), hashName);
  const time = new Reader(found.get(SIGNING_TIME));
  signed.claimed = takeTime(time);
  time.end();
  return signed;
}

function takeToken(raw) {
  demand(raw.length <= MOST.signature, "too large");
  const whole = new Reader(raw).enter(SEQUENCE);
  let token = raw;
  if (whole.before(SEQUENCE)) {
    demand(same(whole.takeWhole(SEQUENCE), GRANTED), "not granted");
    token = whole.takeWhole(SEQUENCE);
    demand(same(sequence(GRANTED, token), raw), "something is not signed");
  }
  const outer = new Reader(token).enter(SEQUENCE);
  outer.take(OID);
  const data = outer.enter(EXPLICIT_0).enter(SEQUENCE);
  data.take(INTEGER);
  data.take(SET);
  const content = data.enter(SEQUENCE);
  content.take(OID);
  const info = content.enter(EXPLICIT_0).take(OCTETS);
  const held = data.takeWhole(EXPLICIT_0);
  const certificates = [];
  for (const reader = new Reader(held).enter(EXPLICIT_0); reader.rest.length > 0; ) certificates.push(reader.takeWhole(SEQUENCE));
  const signer = takeSigner(data);
  const again = sequence(
    VERSION_3,
    setOf(signer.digestAlgorithm),
    sequence(TST_INFO, element(EXPLICIT_0, element(OCTETS, info))),
    held,
    setOf(putSigner(signer, signer.named)),
  );
  demand(same(sequence(SIGNED_DATA, element(EXPLICIT_0, again)), token), "it holds something that is not signed");
  const mine = certificates.filter((each) => same(issuerAndSerial(each), signer.named));
  const isOnce = new Set(certificates.map(hexOf)).size === certificates.length;
  demand(mine.length === 1 && isOnce, "not the signer's certificate, once");
  const hashName = DIGEST_ALGORITHMS.get(hexOf(signer.digestAlgorithm));
  if (!hashName) throw new Refused("the hash algorithm is not on the list");
  const found = new Map();
  for (const reader = new Reader(new Reader(signer.attributes).take(SET)); reader.rest.length > 0; ) {
    const attribute = reader.enter(SEQUENCE);
    const kind = hexOf(attribute.takeWhole(OID));
    demand(!found.has(kind), "an attribute stands twice");
    found.set(kind, attribute.take(SET));
  }
  demand([CONTENT_TYPE, MESSAGE_DIGEST, CERTIFICATE_V2].every((kind) => found.has(kind)), "a signed attribute is missing");
  demand(same(found.get(CONTENT_TYPE), TST_INFO), "not a timestamp");
  const kind = signatureKind(hexOf(signer.algorithm), hashName);
  const others = certificates.filter((each) => each !== mine[0]);
  return { ...signer, certificate: mine[0], hashName, found, kind, info, others };
}

async function imprintTime(info, content) {
  const reader = new Reader(info).enter(SEQUENCE);
  demand(same(reader.takeWhole(INTEGER), VERSION_1), "not version 1");
  reader.take(OID);
  const imprint = reader.enter(SEQUENCE);
  const hashName = DIGEST_ALGORITHMS.get(hexOf(imprint.takeWhole(SEQUENCE)));
  const value = imprint.take(OCTETS);
  imprint.end();
  reader.take(INTEGER);
  const text = latinOf(reader.take(GENERAL_TIME));
  demand(/^[0-9]{14}(\.[0-9]+)?Z$/.test(text), "the time is not in its one form");
  const at = instant(text);
  if (!hashName) throw new Refused("the hash algorithm is not on the list");
  return same(await digest(hashName, content), value) ? at : null;
}

async function valueHolds(signed, certificate, leastBits) {
  if (keyKind(certificate.key, leastBits) !== signed.kind) return false;
  return signatureVerifies(certificate.key, signed.hashName, signed.signature, signed.attributes);
}

const verdict = (code, outcome, detail = "") => ({ code, outcome, detail });

async function judgeSignature(content, raw, chains, at) {
  try {
    const signed = takeSignature(raw);
    const named = [...(await references(signed.certificate)).values()].map((each) => hexOf(sequence(sequence(each))));
    if (!named.includes(hexOf(signed.found.get(CERTIFICATE_V2)))) return verdict("signature.certificate_mismatch", INVALID);
    const certificate = new Certificate(signed.certificate);
    keyKind(certificate.key, 3072);
    if (!same(await digest(signed.hashName, content), contentDigest(signed))) {
      return verdict("signature.digest_mismatch", INVALID);
    }
    if (!(await valueHolds(signed, certificate, 3072))) return verdict("signature.value_mismatch", INVALID);
    return await judgeSigner(certificate, signed.claimed, chains, at);
  } catch (error) {
    if (error instanceof Refused) return verdict("signature.algorithm_refused", INVALID, error.message);
    if (error instanceof Malformed) return verdict("signature.malformed", INVALID, error.message);
    throw error;
  }
}

async function judgeSigner(certificate, claimed, chains, at) {
  const purposes = certificate.purposes();
  const usage = certificate.usage();
  if (!(usage.has(0) || usage.has(1)) || (purposes !== null && !purposes.some((each) => FOR_DOCUMENTS.has(each)))) {
    return verdict("signature.key_usage", INVALID);
  }
  if (!certificate.covers(claimed)) return verdict("signature.outside_validity", INVALID);
  if (claimed > at + CLOCKS_DIFFER_MS) return verdict("signature.time_ahead", OPEN);
  if (await chains.isForged(certificate)) return verdict("signature.certificate_forged", INVALID);
  if (!(await chains.reaches(certificate, claimed))) return verdict("signature.untrusted", OPEN);
  if (!(await chains.reaches(certificate, at))) return verdict("signature.certificate_expired", OPEN);
  return verdict("signature.valid", VALID, toTime(claimed));
}

async function judgeTimestamp(content, raw, chains) {
  const refuse = (detail) => verdict("timestamp.invalid", INVALID, detail);
  try {
    const signed = takeToken(raw);
    const at = await imprintTime(signed.info, content);
    if (at === null || !same(contentDigest(signed), await digest(signed.hashName, signed.info))) {
      return refuse("it is of other bytes");
    }
    const first = new Reader(signed.found.get(CERTIFICATE_V2)).enter(SEQUENCE).enter(SEQUENCE).takeWhole(SEQUENCE);
    if (!(await references(signed.certificate)).has(hexOf(first))) return refuse("another certificate");
    const isKnown = (each) => chains.pool.some((one) => same(one.raw, each));
    demand(signed.others.every(isKnown), "a certificate is not in certs/");
    const certificate = new Certificate(signed.certificate);
    if (!(await valueHolds(signed, certificate, 2048))) return refuse("the signature does not verify");
    const purposes = certificate.purposes();
    const isForTime = purposes !== null && purposes.length === 1 && purposes[0] === FOR_TIME;
    if (!isForTime || !certificate.extensions.get(EXTENDED).critical) return refuse("the certificate is not for timestamps");
    if (!certificate.covers(at) || (await chains.isForged(certificate))) return refuse("the certificate did not hold then");
    if (!(await chains.reachesForTime(certificate, at))) return { ...verdict("timestamp.untrusted", OPEN), at };
    return { ...verdict("timestamp.valid", VALID, toTime(at)), at };
  } catch (error) {
    if (error instanceof Malformed) return verdict("timestamp.malformed", INVALID, error.message);
    throw error;
  }
}

// ---- notes, checkpoints, proofs (C2SP signed-note, tlog-checkpoint, tlog-proof) --------------------------------------

const NOTE_CONTROL = /[\0-\x09\x0b-\x1f]/;
const BLANK = /[\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
const isKeyName = (name) => name !== "" && !name.includes("+") && !BLANK.test(name) && !NOTE_CONTROL.test(name);

function decimal(text) {
  demand(/^(0|[1-9][0-9]{0,18})$/.test(text) && BigInt(text) < 2n ** 63n, "not a number");
  return Number(text);
}

function cut(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + separator.length)];
}

function parseNote(bytes) {
  demand(bytes.length <= MOST.note, "the note is too long");
  const whole = textOf(bytes);
  const at = whole.lastIndexOf("\n\n");
  demand(at >= 0 && whole.endsWith("\n"), "no signatures");
  const text = whole.slice(0, at + 1);
  const block = whole.slice(at + 2);
  demand(block.endsWith("\n"), "no signatures");
  const lines = block.slice(0, -1).split("\n");
  demand(lines.length <= 100 && !NOTE_CONTROL.test(text), "not a note");
  const signatures = lines.map((line) => {
    demand(line.startsWith("\u2014 "), "not a signature line");
    const [name, encoded] = cut(line.slice(2), " ");
    demand(encoded !== null && isKeyName(name), "not a signature line");
    const value = unbase64(encoded);
    demand(value.length > 4, "not a signature line");
    return { name, id: hexOf(value.subarray(0, 4)), signature: value.subarray(4) };
  });
  return { text, signatures };
}

async function parseCheckpoint(text) {
  const lines = text.split("\n");
  demand(lines.length >= 4 && lines.at(-1) === "" && lines.slice(0, -1).every(Boolean), "not a checkpoint");
  demand(!lines.some((line) => /[\0-\x1f]/.test(line)), "not a checkpoint");
  const size = decimal(lines[1]);
  const root = unbase64(lines[2]);
  const isEmpty = same(root, await digest("sha256"));
  demand(root.length === 32 && (size === 0) === isEmpty, "not the root of a tree");
  return { origin: lines[0], size, root };
}

async function parseProof(bytes) {
  demand(bytes.length <= MOST.proof, "the proof is too long");
  const [head, rest] = cut(textOf(bytes), "\n\n");
  const lines = head.split("\n");
  demand(rest !== null && lines.shift() === "c2sp.org/tlog-proof@v1", "not a proof");
  if (lines.length > 0 && lines[0].startsWith("extra ")) demand(unbase64(lines.shift().slice(6)).length > 0, "empty extra data");
  demand(lines.length > 0 && lines[0].startsWith("index "), "no index");
  const index = decimal(lines.shift().slice(6));
  const hashes = lines.map(unbase64);
  demand(hashes.length <= 63 && hashes.every((each) => each.length === 32), "a hash is not 32 bytes");
  const note = parseNote(bytesOf(rest));
  await parseCheckpoint(note.text);
  return { index, hashes, note };
}

// RFC 9162 section 2.1.3.2; sizes can be beyond 32 bits, so that no bit operators are used.
async function isIncluded(entry, index, size, hashes, root) {
  if (!(index >= 0 && index < size)) return false;
  const half = (value) => Math.floor(value / 2);
  let [fn, sn, r] = [index, size - 1, await digest("sha256", [0], entry)];
  for (const p of hashes) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = await digest("sha256", [1], p, r);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      r = await digest("sha256", [1], r, p);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && same(r, root);
}

// ---- the trust file -------------------------------------------------------------------------------------------------

const [ED25519, COSIGNATURE, ML_DSA] = ["01", "04", "06"];
const RECEIPT = hexOf(concat([0xff], bytesOf("liuhen-receipt/v1")));
const KINDS = new Map([[ED25519, 32], [COSIGNATURE, 32], [ML_DSA, 1312], [RECEIPT, 32]]);

async function parseKey(text) {
  const [name, rest] = cut(text, "+");
  const [id, encoded] = cut(rest ?? "", "+");
  demand(isKeyName(name) && encoded !== null, "not a key");
  const material = unbase64(encoded);
  const kind = [...KINDS.keys()].find((known) => hexOf(material).startsWith(known));
  const found = hexOf((await digest("sha256", bytesOf(`${name}\n`), material)).subarray(0, 4));
  const isKnown = kind !== undefined && material.length === kind.length / 2 + KINDS.get(kind);
  demand(isKnown && found === id, "not a key that is known here");
  return { name, id, kind, bytes: material.subarray(kind.length / 2) };
}

async function parseKeyOf(text, kinds) {
  const key = await parseKey(text);
  demand(kinds.includes(key.kind), "a key of another kind");
  return key;
}

class Trust {
  static async parse(bytes) {
    const trust = new Trust();
    trust.logs = [];
    trust.receipts = [];
    trust.witnesses = new Map();
    trust.groups = new Map();
    trust.members = new Set();
    trust.quorum = "";
    trust.roots = new Set();
    trust.timestampRoots = new Set();
    const text = textOf(bytes);
    demand(bytes.length <= MOST.trust && text.endsWith("\n"), "too long, or the last line does not end");
    for (const [index, line] of text.split("\n").entries()) {
      const words = line.replaceAll("\t", " ").split(" ").filter(Boolean);
      try {
        demand(!/[\0-\x08\x0a-\x1f]/.test(line), "a control character");
        if (words.length > 0 && !words[0].startsWith("#")) await trust.take(words);
      } catch (error) {
        if (error instanceof Malformed) throw new Malformed(`line ${index + 1}: ${error.message}`);
        throw error;
      }
    }
    trust.demandSound();
    return trust;
  }

  demandSound() {
    demand(this.logs.length > 0, "no log key");
    const names = this.logs.map((key) => `${key.name}/receipt`);
    demand(this.receipts.every((key) => names.includes(key.name)), "a receipt key of another log");
    const keys = [...this.logs, ...this.receipts, ...this.witnesses.values()].map((key) => hexOf(key.bytes));
    demand(new Set(keys).size === keys.length, "a public key stands twice");
  }

  asksQuorum() {
    return this.quorum !== "" && this.quorum !== "none";
  }

  isKnown(name) {
    return this.witnesses.has(name) || this.groups.has(name);
  }

  async take(words) {
    const [word, first, second] = words;
    if (word === "log" && (words.length === 2 || words.length === 3)) {
      this.logs.push(await parseKeyOf(first, [ED25519, ML_DSA]));
    } else if (word === "receipt" && words.length === 2) {
      this.receipts.push(await parseKeyOf(first, [RECEIPT]));
    } else if (word === "witness" && (words.length === 3 || words.length === 4)) {
      this.demandNew(first);
      this.witnesses.set(first, await parseKeyOf(second, [COSIGNATURE, ML_DSA]));
    } else if (word === "group" && words.length > 3) {
      this.takeGroup(first, second, words.slice(3));
    } else if (word === "quorum" && words.length === 2 && this.quorum === "") {
      demand(first === "none" || this.isKnown(first), "an unknown quorum");
      this.quorum = first;
    } else if (word === "root" && words.length === 2 && /^sha256:[0-9a-f]{64}$/.test(first)) {
      this.roots.add(first.slice(-64));
    } else if (word === "timestamp-root" && words.length === 2 && /^sha256:[0-9a-f]{64}$/.test(first)) {
      this.timestampRoots.add(first.slice(-64));
    } else {
      throw new Malformed("not a line of a trust file");
    }
  }

  demandNew(name) {
    demand(!this.isKnown(name) && name !== "none" && !BLANK.test(name), "a name that is taken");
    demand(this.witnesses.size + this.groups.size < 256, "more than 256 witnesses and groups");
  }

  takeGroup(name, need, members) {
    this.demandNew(name);
    for (const each of members) {
      demand(this.isKnown(each) && !this.members.has(each), "an unknown member, or one of two groups");
      this.members.add(each);
    }
    demand(need === "any" || need === "all" || /^[1-9][0-9]{0,3}$/.test(need), "not a threshold");
    const count = need === "any" ? 1 : need === "all" ? members.length : Number(need);
    demand(count <= members.length, "a group that nobody can satisfy");
    this.groups.set(name, { count, members });
  }

  hasQuorum(cosigned, name = this.quorum) {
    if (!this.groups.has(name)) return cosigned.has(name);
    const { count, members } = this.groups.get(name);
    return members.filter((each) => this.hasQuorum(cosigned, each)).length >= count;
  }
}

async function cosignatureVerifies(key, signature, text) {
  if (signature.length !== 72) return false;
  const time = BigInt(`0x${hexOf(signature.subarray(0, 8))}`);
  if (time >= 2n ** 63n) return false;
  return ed25519Verifies(key.bytes, signature.subarray(8), bytesOf(`cosignature/v1\ntime ${time}\n${text}`));
}

// Signatures by keys that are not pinned are set aside; one of a pinned key that does not verify spoils the note. Those by
// ML-DSA-44 are not checked here: they are told as "perhaps", and never count as made.
async function judgeNote(note, origin, trust) {
  let [hasSigned, mayHaveSigned] = [false, false];
  const [cosigned, perhaps] = [new Set(), new Set()];
  const broken = { code: "checkpoint.signature_invalid", cosigned: new Set(), perhaps: new Set() };
  for (const { name, id, signature } of note.signatures) {
    for (const key of trust.logs) {
      if (key.name !== name || key.id !== id || key.name !== origin) continue;
      if (key.kind === ML_DSA) mayHaveSigned = true;
      else if (await ed25519Verifies(key.bytes, signature, bytesOf(note.text))) hasSigned = true;
      else return broken;
    }
    for (const [label, key] of trust.witnesses) {
      if (key.name !== name || key.id !== id) continue;
      if (key.kind === ML_DSA) perhaps.add(label);
      else if (!(await cosignatureVerifies(key, signature, note.text))) return broken;
      else if (signature.subarray(0, 8).some(Boolean)) cosigned.add(label);
    }
  }
  if (hasSigned) return { code: "checkpoint.signature_valid", cosigned, perhaps };
  const code = mayHaveSigned ? "checkpoint.signer_not_established" : "checkpoint.signer_unknown";
  return { code, cosigned, perhaps };
}

// ---- paths and manifests --------------------------------------------------------------------------------------------

const UNCLEAN = /[\0-\x1f\x7f-\x9f]|[\ud800-\udfff]/u;

function isBadPath(path) {
  if (path === "" || Array.from(path).length > 4096 || path.includes("\\") || /^[A-Za-z]:/.test(path)) return true;
  return UNCLEAN.test(path) || path.split("/").some((segment) => ["", ".", ".."].includes(segment));
}

function shown(path) {
  const escape = (char) => `\\x${char.codePointAt(0).toString(16).padStart(2, "0")}`;
  return Array.from(path).slice(0, 4096).join("").replace(/[\0-\x1f\x7f-\x9f]|[\ud800-\udfff]/gu, escape);
}

const folded = (path) => path.normalize("NFC").toLowerCase().normalize("NFC");
const isPayload = (path) => path.startsWith("data/");
const isTag = (path) => !/^(data|sig)\//.test(path) && !TAG_MANIFESTS.includes(path);
const algorithmOf = (name) => name.slice(name.lastIndexOf("-") + 1, -4);

function parseManifest(bytes, algorithm, belongs) {
  const lines = textOf(bytes).split("\n");
  demand(lines.pop() === "", "the last line does not end");
  const size = HEX_CHARS[algorithm];
  const listed = new Map();
  const refused = new Set();
  for (const [index, line] of lines.entries()) {
    const wrong = `line ${index + 1}`;
    const escaped = line.slice(size + 2);
    demand(isHex(line.slice(0, size), size) && line.slice(size, size + 2) === "  ", wrong);
    demand(!/%(?!25|0A|0D)/.test(escaped), wrong);
    const path = escaped.replaceAll("%0A", "\n").replaceAll("%0D", "\r").replaceAll("%25", "%");
    if (isBadPath(path)) {
      refused.add(path);
      continue;
    }
    demand(!listed.has(path) && belongs(path), wrong);
    listed.set(path, line.slice(0, size));
  }
  return { listed, refused };
}

// ---- data/case.json -------------------------------------------------------------------------------------------------

function demandIndices(values) {
  demand(Array.isArray(values) && values.every(isCount), "an index is none");
  demand(values.every((each, at) => at === 0 || values[at - 1] < each), "indices are not in order");
}

function demandFile(one, algorithms) {
  demand(typeof own(one, "path") === "string" && isCount(own(one, "size")), "a file without path or size");
  demand(algorithms.every((name) => isHex(own(one, name), HEX_CHARS[name])), "a file without digests");
}

function demandCase(value) {
  demand(isObject(value) && own(value, "v") === 1, "not version 1");
  demand(typeof own(value, "origin") === "string", "no origin");
  demand(isObject(own(value, "case")) && typeof own(value.case, "id") === "string", "no case");
  demand(["objects", "renditions", "entries"].every((name) => Array.isArray(own(value, name))), "a list is missing");
  demandIndices(value.entries);
  const seen = new Set();
  for (const each of value.objects) {
    demand(isObject(each) && ["item", "record"].includes(own(each, "kind")), "not an object");
    demand(typeof own(each, "id") === "string" && !seen.has(each.id), "an object without its own id");
    seen.add(each.id);
    demandFile(each, ["sha256", "sha512"]);
    demandIndices(own(each, "entries"));
  }
  for (const each of value.renditions) {
    demand(isObject(each) && typeof own(each, "object") === "string", "not a rendition");
    demandFile(each, ["sha256"]);
  }
  const head = own(value, "checkpoint");
  demand(isObject(head) && isCount(own(head, "size")), "no checkpoint");
  demand(typeof own(head, "root") === "string" && typeof own(head, "issued") === "string", "no checkpoint");
}

function demandEntry(entry) {
  demand(isObject(entry) && own(entry, "v") === 1, "not an entry of version 1");
  demand(typeof own(entry, "type") === "string" && isHex(own(entry, "detail_c"), 64), "no type or no commitment");
}

const isAbout = (entry, id) => isObject(own(entry, "obj")) && own(entry.obj, "id") === id;

// ---- the checks -----------------------------------------------------------------------------------------------------

// files: a Map of path to File. hash(paths, files, progress): digests by path, those that cannot be read left out.
class Check {
  constructor(files, trust, now, hash) {
    this.files = files;
    this.trust = trust;
    this.now = now;
    this.hash = hash;
    this.findings = [];
    this.complete = [];
    this.entries = new Map();
    this.case = null;
    this.head = null;
    this.note = null;
  }

  add(code, outcome, where, detail = "") {
    this.findings.push({ code, outcome, where: shown(where), detail });
  }

  async read(path, most) {
    const file = this.files.get(path);
    demand(file !== undefined, "it is not there");
    demand(file.size <= most, "it is too large");
    try {
      return new Uint8Array(await file.arrayBuffer());
    } catch {
      throw new Malformed("it cannot be read");
    }
  }

  async run(progress) {
    this.structure();
    const listed = await this.manifests();
    if (this.findings.length === 0) this.add("package.structure_valid", VALID, "");
    const digests = await this.judgeFiles(listed, progress);
    const chains = await this.chains();
    await this.signatures(chains);
    await this.readHead();
    await this.readCase();
    await this.judgeEntries();
    if (this.case !== null) this.judgeObjects(listed, digests);
    await this.judgeHead();
    await this.anchors(chains);
    this.complete = [{ code: "package.completeness_not_checked", outcome: OPEN, where: "", detail: "" }];
  }

  // 1 and 2: the bag and its files

  structure() {
    const folders = new Set();
    for (const path of [...this.files.keys()].sort(byCodePoint)) {
      const segments = path.split("/");
      for (let count = 1; count < segments.length; count += 1) folders.add(segments.slice(0, count).join("/"));
      if (isBadPath(path)) {
        this.add("package.path_refused", INVALID, path);
        this.files.delete(path);
      } else if (path.toLowerCase() === "fetch.txt") {
        this.add("package.fetch_refused", INVALID, path);
      }
    }
    const seen = new Map();
    for (const path of [...this.files.keys(), ...folders].sort(byCodePoint)) {
      const key = folded(path);
      if (seen.has(key)) this.add("package.name_clash", INVALID, path, seen.get(key));
      else seen.set(key, path);
    }
  }

  async manifests() {
    const bagit = await this.read("bagit.txt", MIB).catch(() => new Uint8Array());
    if (!same(bagit, bytesOf(BAGIT))) this.add("package.not_a_bag", INVALID, "bagit.txt");
    if (!this.files.has("bag-info.txt")) this.add("package.not_a_bag", INVALID, "bag-info.txt");
    const found = new Map();
    for (const name of [...MANIFESTS, ...TAG_MANIFESTS]) {
      found.set(name, null);
      if (!this.files.has(name)) {
        this.add("package.not_a_bag", INVALID, name);
        continue;
      }
      try {
        const belongs = MANIFESTS.includes(name) ? isPayload : isTag;
        const { listed, refused } = parseManifest(await this.read(name, MOST.text), algorithmOf(name), belongs);
        found.set(name, listed);
        for (const path of [...refused].sort(byCodePoint)) this.add("package.path_refused", INVALID, path, name);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        this.add("package.malformed", INVALID, name, error.message);
      }
    }
    return found;
  }

  async judgeFiles(listed, progress) {
    const unlisted = new Set([...TAG_MANIFESTS, ...SIGNED]);
    const paths = new Set([...this.files.keys()].filter((path) => !unlisted.has(path)));
    for (const table of listed.values()) for (const path of table === null ? [] : table.keys()) paths.add(path);
    const digests = await this.hash([...paths].filter((path) => this.files.has(path)), this.files, progress);
    for (const path of [...paths].sort(byCodePoint)) this.judgeFile(path, listed, digests.get(path));
    return digests;
  }

  judgeFile(path, listed, found) {
    const names = isPayload(path) ? MANIFESTS : TAG_MANIFESTS;
    const known = names.filter((name) => listed.get(name) !== null);
    const told = known.filter((name) => listed.get(name).has(path));
    if (known.length > 0 && told.length === 0) {
      this.add("package.file_extra", INVALID, path);
      return;
    }
    if (told.length < known.length) this.add("package.manifests_differ", INVALID, path);
    if (!this.files.has(path)) {
      this.add("package.file_missing", INVALID, path);
    } else if (!found || !told.every((name) => listed.get(name).get(path) === found[algorithmOf(name)])) {
      this.add("package.file_altered", INVALID, path);
    } else if (told.length === 2) {
      this.add("package.file_valid", VALID, path);
    }
  }

  // 3 and 4: signatures and timestamps

  async chains() {
    const { roots, timestampRoots } = this.trust ?? { roots: new Set(), timestampRoots: new Set() };
    if (!this.files.has("certs/chain.pem")) return new Chains([], roots, timestampRoots);
    try {
      return new Chains(parsePem(await this.read("certs/chain.pem", MIB)), roots, timestampRoots);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.add("package.malformed", INVALID, "certs/chain.pem", error.message);
      return new Chains([], roots, timestampRoots);
    }
  }

  async signatures(chains) {
    const timestamps = [];
    for (const name of TAG_MANIFESTS) {
      const where = `sig/${name}.p7s`;
      if (!this.files.has(where)) {
        this.add("package.signature_missing", INVALID, where);
        continue;
      }
      let [raw, content] = [null, null];
      try {
        raw = await this.read(where, MOST.signature);
      } catch (error) {
        this.add("signature.malformed", INVALID, where, error.message);
        continue;
      }
      const stamped = await this.timestamp(raw, `${where}.tsr`, chains);
      timestamps.push({ ...stamped, where: `${where}.tsr` });
      try {
        content = await this.read(name, MOST.text);
      } catch (error) {
        this.add("signature.not_checked", OPEN, where, error.message);
        continue;
      }
      const { code, outcome, detail } = await judgeSignature(content, raw, chains, stamped.at ?? this.now);
      this.add(code, outcome, where, detail);
    }
    for (const { code, outcome, detail, where } of timestamps) this.add(code, outcome, where, detail);
  }

  async timestamp(content, where, chains) {
    if (!this.files.has(where)) return verdict("package.timestamp_missing", INVALID);
    try {
      return await judgeTimestamp(content, await this.read(where, MOST.signature), chains);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return verdict("timestamp.malformed", INVALID, error.message);
    }
  }

  // 5: the case and its objects

  async readCase() {
    try {
      const value = parseCanonical(await this.read("data/case.json", MOST.text));
      demandCase(value);
      this.case = value;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.add("package.malformed", INVALID, "data/case.json", error.message);
    }
  }

  judgeObjects(listed, digests) {
    const { checkpoint, origin } = this.case;
    const fits = this.head !== null && checkpoint.size === this.head.size && origin === this.head.origin;
    if (!fits || ![hexOf(this.head.root), toBase64(this.head.root)].includes(checkpoint.root)) {
      this.add("package.object_differs", INVALID, "data/case.json", "another checkpoint");
    }
    const all = new Set(this.case.entries);
    if (this.case.objects.some((each) => !each.entries.every((index) => all.has(index)))) {
      this.add("package.object_differs", INVALID, "data/case.json", "an entry of an object is not among all");
    }
    for (const each of this.case.objects) {
      const folder = each.kind === "item" ? "evidence" : "records";
      const isInPlace = each.path.startsWith(`data/${folder}/${each.id}/`);
      const place = isInPlace ? "" : "the path is not the object's";
      const found = digests.get(each.path);
      const reason = place || this.fileDiffers(each, ["sha256", "sha512"], listed, found) || this.entryDiffers(each);
      if (reason) this.add("package.object_differs", INVALID, each.path, reason);
      else this.add("package.object_valid", VALID, each.path);
    }
    for (const each of this.case.renditions) {
      const reason = this.fileDiffers(each, ["sha256", "sha512"], listed, digests.get(each.path));
      if (reason) this.add("package.object_differs", INVALID, each.path, reason);
    }
  }

  fileDiffers(one, algorithms, listed, found) {
    if (!found || isBadPath(one.path)) return "the file is not there";
    if (one.size !== found.size) return "size";
    for (const name of algorithms.filter((each) => Object.hasOwn(one, each))) {
      if (one[name] !== found[name]) return name;
      const table = listed.get(`manifest-${name}.txt`);
      if (table !== null && table.get(one.path) !== one[name]) return `manifest-${name}.txt`;
    }
    return "";
  }

  entryDiffers(one) {
    const wanted = one.kind === "item" ? "object.preserved" : "record.filed";
    const about = one.entries
      .map((index) => this.entries.get(String(index)))
      .filter((entry) => entry && entry.type === wanted && isAbout(entry, one.id));
    if (about.length !== 1) return `${about.length} entries say that it was preserved`;
    const stated = own(about[0], "dig");
    if (!isObject(stated) || own(about[0], "size") !== one.size) return "the log entry";
    const isSame = ["sha256", "sha512"].every((name) => own(stated, name) === one[name]);
    const hasSm3 = Object.hasOwn(stated, "sm3") && Object.hasOwn(one, "sm3");
    return isSame && (!hasSm3 || stated.sm3 === one.sm3) ? "" : "the log entry";
  }

  // 6: entries and proofs

  async judgeEntries() {
    const wanted = new Set(this.case === null ? [] : this.case.entries.map(String));
    for (const path of this.files.keys()) {
      const hit = /^proofs\/(?:entries\/([0-9]{1,18})[.]json|([0-9]{1,18})[.]tlog-proof)$/.exec(path);
      if (hit) wanted.add(BigInt(hit[1] ?? hit[2]).toString());
    }
    const inOrder = [...wanted].sort((one, two) => (BigInt(one) < BigInt(two) ? -1 : 1));
    for (const index of inOrder) await this.judgeEntry(index);
  }

  async judgeEntry(index) {
    const where = `proofs/entries/${index}.json`;
    if (!this.files.has(where)) {
      this.add("package.entry_missing", INVALID, where);
      return;
    }
    let [raw, entry] = [null, null];
    try {
      raw = await this.read(where, MOST.entry);
      entry = parseCanonical(raw);
      demandEntry(entry);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.add("entry.malformed", INVALID, where, error.message);
      return;
    }
    const { code, detail } = await this.judgeProof(index, raw);
    if (code === "proof.inclusion_valid") {
      this.entries.set(index, entry);
      this.add(code, VALID, where);
    } else {
      this.add(code, INVALID, `proofs/${index}.tlog-proof`, detail);
    }
    const detailAt = `proofs/details/${index}.json`;
    if (this.files.has(detailAt) && !(await this.opens(detailAt, entry.detail_c))) {
      this.add("entry.detail_differs", INVALID, detailAt);
    }
  }

  async judgeProof(index, entry) {
    const where = `proofs/${index}.tlog-proof`;
    if (!this.files.has(where)) return verdict("proof.missing", INVALID);
    let proof;
    try {
      proof = await parseProof(await this.read(where, MOST.proof));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return verdict("proof.malformed", INVALID, error.message);
    }
    if (this.head === null || proof.note.text !== this.note.text) return verdict("proof.checkpoint_differs", INVALID);
    if (String(proof.index) !== index) return verdict("proof.inclusion_invalid", INVALID, "another index");
    const holds = await isIncluded(entry, proof.index, this.head.size, proof.hashes, this.head.root);
    return holds ? verdict("proof.inclusion_valid", VALID) : verdict("proof.inclusion_invalid", INVALID);
  }

  async opens(where, commitment) {
    try {
      const held = parseCanonical(await this.read(where, MOST.detail));
      demand(isObject(held) && Object.keys(held).sort().join() === "detail,salt" && isHex(held.salt, 64), "not a detail");
      const found = await digest("sha256", bytesOfHex(held.salt), bytesOf(canonical(held.detail)));
      return hexOf(found) === commitment;
    } catch (error) {
      if (error instanceof Malformed) return false;
      throw error;
    }
  }

  // 7: the checkpoint and its anchors

  async readHead() {
    try {
      const note = parseNote(await this.read("proofs/checkpoint", MOST.note));
      this.head = await parseCheckpoint(note.text);
      this.note = note;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
  }

  async judgeHead() {
    const where = "proofs/checkpoint";
    if (this.head === null) {
      this.add("checkpoint.malformed", INVALID, where);
      return;
    }
    if (this.trust === null) {
      this.add("checkpoint.signer_not_established", OPEN, where);
      this.add("checkpoint.no_quorum_asked", OPEN, where);
      return;
    }
    const { code, cosigned, perhaps } = await judgeNote(this.note, this.head.origin, this.trust);
    const outcomes = { "checkpoint.signature_valid": VALID, "checkpoint.signer_not_established": OPEN };
    const outcome = outcomes[code] ?? INVALID;
    this.add(code, outcome, where, outcome === OPEN ? "ML-DSA-44 is not checked here" : "");
    if (outcome === INVALID) return;
    if (!this.trust.asksQuorum()) this.add("checkpoint.no_quorum_asked", OPEN, where);
    else if (this.trust.hasQuorum(cosigned)) this.add("checkpoint.quorum_valid", VALID, where);
    else if (this.trust.hasQuorum(new Set([...cosigned, ...perhaps]))) this.add("checkpoint.quorum_not_checked", OPEN, where);
    else this.add("checkpoint.quorum_missing", INVALID, where);
  }

  async anchors(chains) {
    const hits = [...this.files.keys()].map((path) => /^(proofs\/anchors\/.+)[.](?:ckpt|tsr)$/.exec(path)).filter(Boolean);
    for (const name of [...new Set(hits.map((hit) => hit[1]))].sort(byCodePoint)) {
      const { code, outcome, detail } = await this.anchor(name, chains);
      this.add(code, outcome, `${name}.tsr`, detail);
    }
  }

  async anchor(name, chains) {
    const refuse = (detail) => verdict("anchor.invalid", INVALID, detail);
    let [raw, token, note, head] = [null, null, null, null];
    try {
      raw = await this.read(`${name}.ckpt`, MOST.note);
      token = await this.read(`${name}.tsr`, MOST.signature);
      note = parseNote(raw);
      head = await parseCheckpoint(note.text);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return refuse(error.message);
    }
    const isOfThisLog = this.head !== null && head.origin === this.head.origin;
    if (!isOfThisLog || name !== `proofs/anchors/${head.size}`) return refuse("another log or size");
    if (head.size === this.head.size && !same(head.root, this.head.root)) return refuse("another root");
    const stamped = await judgeTimestamp(raw, token, chains);
    if (stamped.outcome === INVALID) return refuse(stamped.detail);
    if (this.trust === null) return verdict("anchor.not_checked", OPEN);
    const { code } = await judgeNote(note, head.origin, this.trust);
    if (["checkpoint.signature_invalid", "checkpoint.signer_unknown"].includes(code)) return refuse("the log has not signed it");
    return code === "checkpoint.signature_valid" && stamped.outcome === VALID ? verdict("anchor.valid", VALID, stamped.detail) : verdict("anchor.not_checked", OPEN);
  }

  report(checked, say) {
    const unaltered = worst(this.findings.map((each) => each.outcome));
    const complete = worst(this.complete.map((each) => each.outcome));
    return {
      checked,
      outcome: worst([unaltered, complete]),
      unaltered,
      complete,
      up_to: {
        size: this.head === null ? null : this.head.size,
        time: this.case === null ? null : this.case.checkpoint.issued,
      },
      findings: [...this.findings, ...this.complete].map((each) => ({
        code: each.code,
        outcome: each.outcome,
        message: say(each.code, each.detail),
        where: each.where,
      })),
    };
  }
}
