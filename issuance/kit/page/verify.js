// Checks a sealed credential against the kit that this page belongs to. It knows nothing that
// is not in the kit, sends nothing anywhere, and writes all texts as text.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const utf8 = new TextEncoder();

  // Failure is an error with a sentence for the reader.
  class Failure extends Error {}

  const algorithms = {
    RS256: { key: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, use: { name: "RSASSA-PKCS1-v1_5" } },
    PS256: { key: { name: "RSA-PSS", hash: "SHA-256" }, use: { name: "RSA-PSS", saltLength: 32 } },
    ES256: { key: { name: "ECDSA", namedCurve: "P-256" }, use: { name: "ECDSA", hash: "SHA-256" } },
    ES384: { key: { name: "ECDSA", namedCurve: "P-384" }, use: { name: "ECDSA", hash: "SHA-384" } },
  };

  function fromBase64(text) {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new Failure("something in it is not base64");
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  }

  function fromBase64url(text) {
    if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text)) throw new Failure("something in it is not base64url");
    return fromBase64(text.replace(/-/g, "+").replace(/_/g, "/"));
  }

  const decode = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

  async function sha256(bytes) {
    const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(sum, (b) => b.toString(16).padStart(2, "0")).join("");
  }

  // tlv reads one element of DER (X.690) at a position.
  function tlv(der, at) {
    let length = der[at + 1], head = 2;
    if (length > 0x80) {
      const n = length - 0x80;
      if (n > 4) throw new Failure("a certificate cannot be read");
      length = 0;
      for (let i = 0; i < n; i++) length = length * 256 + der[at + 2 + i];
      head += n;
    }
    const end = at + head + length;
    if (!(end <= der.length)) throw new Failure("a certificate cannot be read");
    return { tag: der[at], start: at, body: at + head, end };
  }

  function children(der, parent) {
    const all = [];
    for (let at = parent.body; at < parent.end; ) {
      const child = tlv(der, at);
      all.push(child);
      at = child.end;
    }
    return all;
  }

  const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

  // certificate reads what is needed of one (RFC 5280, 4.1): its key, and whose it is.
  async function certificate(der) {
    const [tbs] = children(der, tlv(der, 0));
    const fields = children(der, tbs);
    const first = fields[0].tag === 0xa0 ? 1 : 0; // the version
    const subject = {};
    for (const set of children(der, fields[first + 4])) {
      for (const pair of children(der, set)) {
        const [oid, value] = children(der, pair);
        subject[hex(der.subarray(oid.body, oid.end))] = decode(der.subarray(value.body, value.end));
      }
    }
    const key = fields[first + 5];
    return {
      sha256: await sha256(der),
      spki: der.slice(key.start, key.end),
      identifier: subject["550461"] || "", // 2.5.4.97 organizationIdentifier
      country: subject["550406"] || "",
      organisation: subject["55040a"] || subject["550403"] || "",
    };
  }

  async function fits(alg, cert, signature, input) {
    const a = algorithms[alg];
    if (!a) throw new Failure("its algorithm, " + String(alg).slice(0, 20) + ", is not known to this page");
    let key;
    try {
      key = await crypto.subtle.importKey("spki", cert.spki, a.key, false, ["verify"]);
    } catch {
      throw new Failure("the key of its certificate does not fit the algorithm " + alg);
    }
    if (key.algorithm.modulusLength < 2048) throw new Failure("the key of its certificate is too short");
    return crypto.subtle.verify(a.use, key, signature, input);
  }

  // compact opens a signed file of the kit.
  async function compact(text, typ, organisation, seal) {
    const parts = text.trim().split(".");
    if (parts.length !== 3) throw new Failure("a list of the kit is not signed");
    const header = JSON.parse(decode(fromBase64url(parts[0])));
    if (header.typ !== typ || header.crit || !Array.isArray(header.x5c)) throw new Failure("a list of the kit is of another kind");
    const signer = await certificate(fromBase64(header.x5c[0]));
    if (!organisation.certificates.some((c) => c.sha256 === signer.sha256)) throw new Failure("a list of the kit is signed by a key that the kit does not name");
    if (signer.identifier !== seal.identifier || signer.country !== seal.country) throw new Failure("a list of the kit is signed by another organisation than the credential");
    if (!(await fits(header.alg, signer, fromBase64url(parts[2]), utf8.encode(parts[0] + "." + parts[1])))) throw new Failure("a list of the kit was changed after it was signed");
    return JSON.parse(decode(fromBase64url(parts[1])));
  }

  async function load(name) {
    const response = await fetch(name, { cache: "no-cache", credentials: "omit" });
    if (!response.ok) throw new Failure("the file " + name + " of the kit cannot be had");
    return new Uint8Array(await response.arrayBuffer());
  }

  async function inflate(bytes) {
    if (typeof DecompressionStream === "undefined") throw new Failure("this browser is too old to unpack the status list");
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // standing looks a credential up in the lists of the organisation that sealed it.
  async function standing(id, organisation, seal) {
    const hash = await sha256(utf8.encode(id));
    for (const list of organisation.lists) {
      if (!list.index) continue;
      const index = await compact(decode(await load(list.index)), "sealsmith-status-index+jwt", organisation, seal);
      if (index.sub !== list.address) throw new Failure("the index of the kit is of another list");
      const name = hash.slice(0, index.digits);
      if (!Object.hasOwn(index.shards, name)) continue;
      const shard = await load(list.shards + "/" + (name || "all") + ".txt");
      if ((await sha256(shard)) !== index.shards[name]) throw new Failure("the index of the kit was changed after it was signed");
      const line = decode(shard).split("\n").find((l) => l.startsWith(hash + " "));
      if (!line) continue;
      const place = Number(line.slice(65));
      const token = await compact(decode(await load(list.token)), "statuslist+jwt", organisation, seal);
      if (token.sub !== list.address) throw new Failure("a list of the kit is another one than it says");
      const values = await inflate(fromBase64url(token.status_list.lst));
      const bits = token.status_list.bits, at = place * bits;
      if (!Number.isInteger(place) || ![1, 2, 4, 8].includes(bits) || at >= values.length * 8) throw new Failure("the place of the credential is not in the list");
      return { value: (values[at >> 3] >> (at & 7)) & ((1 << bits) - 1), signed: token.iat, until: token.exp };
    }
    return null;
  }

  // read takes a sealed file apart, without believing anything in it.
  async function read(bytes) {
    let doc;
    try {
      doc = JSON.parse(decode(bytes));
    } catch {
      throw new Failure("We could not read this file. The sealed file of a credential usually ends in .jsonld or .json.");
    }
    if (!doc || typeof doc.payload !== "string" || !Array.isArray(doc.signatures)) throw new Failure("This file is not sealed, so there is nothing to rely on.");
    if (doc.signatures.length !== 1) throw new Failure("More than one seal is on this file, which this page does not judge.");
    const seal = doc.signatures[0];
    try {
      const header = JSON.parse(decode(fromBase64url(seal.protected)));
      const raw = header.b64 === false;
      const crit = header.crit === undefined ? [] : header.crit;
      if (!Array.isArray(crit) || (raw && !crit.includes("b64")) || !crit.every((n) => ["b64", "iat", "sigT", "adoTst"].includes(n) && n in header)) {
        throw new Failure("its header demands what this page does not know");
      }
      if (!Array.isArray(header.x5c) || !header.x5c.length) throw new Failure("it carries no certificate");
      const der = fromBase64(header.x5c[0]);
      const cert = await certificate(der);
      const print = header["x5t#S256"];
      if (print !== undefined && hex(fromBase64url(print)) !== cert.sha256) throw new Failure("its header names another certificate than it carries");
      const unchanged = await fits(header.alg, cert, fromBase64url(seal.signature), utf8.encode(seal.protected + "." + doc.payload));
      const content = JSON.parse(raw ? doc.payload : decode(fromBase64url(doc.payload)));
      const at = Number.isInteger(header.iat) ? new Date(header.iat * 1000) : header.sigT ? new Date(header.sigT) : null;
      return { unchanged, cert, content, at, alg: header.alg };
    } catch (e) {
      throw new Failure("The seal on this file cannot be checked: " + (e instanceof Failure ? e.message : "it is not in the form of a sealed credential") + ".");
    }
  }

  const day = (t) => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" }).format(t);

  // words picks a text in the reader's language, else in English, else in any.
  function words(text) {
    if (typeof text === "string") return text;
    if (!text || typeof text !== "object") return "";
    const mine = (navigator.language || "en").slice(0, 2);
    const chosen = text[mine] || text.en || Object.values(text)[0];
    return Array.isArray(chosen) ? chosen.join("; ") : String(chosen || "");
  }

  const list = (x) => (Array.isArray(x) ? x : x ? [x] : []);

  function facts(content) {
    const subject = content.credentialSubject || {};
    const claim = list(subject.hasClaim)[0] || {};
    const bodies = list(claim.awardedBy).flatMap((p) => list(p.awardingBody)).map((o) => words(o.legalName));
    const name = words(subject.fullName) || [words(subject.givenName), words(subject.familyName)].join(" ").trim();
    return [
      ["Title", words((content.displayParameter || {}).title) || words(claim.title)],
      ["Holder", name],
      ["Awarded by", bodies.join("; ")],
      ["Sealed by", words((content.issuer || {}).legalName)],
      ["Number", list(content.identifier).map((i) => i.notation).join("; ")],
      ["Issued", (content.issued || content.issuanceDate || "").slice(0, 10)],
      ["Valid until", (content.validUntil || content.expirationDate || "").slice(0, 10)],
      ["Id", String(content.id || "")],
    ].filter(([, value]) => value);
  }

  const ok = (title, says) => ({ kind: "ok", word: "Yes", title, says });
  const open = (title, says) => ({ kind: "warn", word: "Not known", title, says });
  const bad = (title, says) => ({ kind: "bad", word: "No", title, says });

  // examine asks all questions, in the order of their weight.
  async function examine(file, kit) {
    const checks = [];
    const say = (check) => (checks.push(check), check.kind === "ok");
    const verdict = (kind, headline, next) => ({ kind, headline, next, checks, facts: file.unchanged ? facts(file.content) : [] });

    if (!file.unchanged) {
      say(bad("Unchanged since it was sealed", "The signature does not fit what the file says."));
      return verdict("bad", "This file was changed after sealing.", "Do not rely on what it says. Ask the holder for the original file.");
    }
    say(ok("Unchanged since it was sealed", "Every character fits the seal (" + file.alg + ")."));

    const organisation = kit.organisations.find((o) => o.certificates.some((c) => c.sha256 === file.cert.sha256));
    if (!organisation) {
      say(open("Sealed by a key of this kit", "Its certificate, of “" + file.cert.organisation + "”, is none of those in this kit: it is of somebody else, or newer than the kit."));
      return verdict("warn", "The file is unchanged, but this kit does not know who sealed it.", "Anybody can make a certificate with any name. Check the credential where it was issued.");
    }
    const known = organisation.certificates.find((c) => c.sha256 === file.cert.sha256);
    const from = new Date(known.from), until = new Date(known.until);
    say(ok("Sealed by a key of this kit", known.name + ", of " + known.organisation + " (" + known.identifier + "), certificate " + known.sha256.slice(0, 16) + "…, valid from " + day(from) + " to " + day(until) + "."));
    if (!file.at || file.at < from || file.at > until) {
      say(bad("Sealed while the certificate was valid", "The seal names " + (file.at ? day(file.at) : "no time") + "."));
      return verdict("bad", "The certificate on this file was not valid when the seal says it was made.", "Do not rely on it.");
    }
    say(ok("Sealed while the certificate was valid", "On " + day(file.at) + ", by the seal’s own words."));
    const named = ((file.content.issuer || {}).eIDASIdentifier || {}).notation;
    if (!say(named === file.cert.identifier ? ok("Issuer and seal are the same", named + ".") : bad("Issuer and seal are the same", "The content names " + (named || "nobody") + ", the certificate " + file.cert.identifier + "."))) {
      return verdict("bad", "This credential names another issuer than its seal.", "Do not rely on it.");
    }

    const title = "Not withdrawn";
    let found;
    try {
      found = await standing(String(file.content.id), organisation, file.cert);
    } catch (e) {
      const why = e instanceof Failure ? e.message : "the lists of this kit cannot be read";
      say(open(title, "This cannot be said: " + why + "."));
      return verdict("warn", "Genuine by its seal; whether it was withdrawn cannot be said.", "Get the kit anew, from somewhere else if need be.");
    }
    if (!found) {
      say(open(title, "It is not in the index of this kit. It may have been sealed after the kit was made."));
      return verdict("warn", "Genuine by its seal; this kit does not know whether it was withdrawn.", "A newer kit may know it.");
    }
    const signed = day(new Date(found.signed * 1000));
    if (found.value === 2) {
      say(bad(title, "The list that was signed on " + signed + " says: suspended."));
      return verdict("bad", "This credential was suspended on " + signed + ", when this kit was made.", "It may have come back since, or been withdrawn for good. Do not rely on it without asking the organisation.");
    }
    if (found.value !== 0) {
      say(bad(title, "The list that was signed on " + signed + " says: withdrawn for good."));
      return verdict("bad", "This credential was withdrawn.", "Do not rely on it.");
    }
    const old = found.until && Date.now() >= found.until * 1000;
    say(ok(title, "By the list that was signed on " + signed + "." + (old ? " That list has run out since: what happened later is not known here." : "")));

    const ends = file.content.validUntil || file.content.expirationDate, begins = file.content.validFrom;
    if (ends && new Date(ends) < new Date()) {
      say(bad("In force today", "It was valid until " + day(new Date(ends)) + "."));
      return verdict("warn", "This credential is genuine, but it has expired.", "");
    }
    if (begins && new Date(begins) > new Date()) {
      say(bad("In force today", "It is valid from " + day(new Date(begins)) + "."));
      return verdict("warn", "This credential is genuine, but it is not in force yet.", "");
    }
    return verdict("ok", "This credential is genuine, and was not withdrawn on " + signed + ".", "");
  }

  function element(tag, text, className) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (className) e.className = className;
    return e;
  }

  function show(result) {
    const head = element("section", undefined, "card " + result.kind);
    head.id = "verdict";
    head.append(element("h2", result.headline));
    if (result.next) head.append(element("p", result.next));
    const parts = [head];
    if (result.checks && result.checks.length) {
      const section = element("section", undefined, "card");
      const all = element("ul", undefined, "checks");
      for (const c of result.checks) {
        const item = element("li");
        item.append(element("span", c.word + ".", "word " + c.kind), element("strong", c.title + ". "), document.createTextNode(c.says));
        all.append(item);
      }
      section.append(element("h2", "What was checked"), all);
      parts.push(section);
    }
    if (result.facts && result.facts.length) {
      const section = element("section", undefined, "card");
      const dl = element("dl");
      for (const [name, value] of result.facts) dl.append(element("dt", name), element("dd", value));
      section.append(element("h2", result.kind === "ok" ? "What it says" : "What it says, as far as the checks go"), dl);
      parts.push(section);
    }
    $("result").replaceChildren(...parts);
  }

  function fail(headline, next) {
    show({ kind: "warn", headline, next });
  }

  async function start() {
    if (location.protocol === "file:") {
      fail("Open this page through a web server.", "Browsers do not let a page read the files beside it otherwise. In this folder: python3 -m http.server, then http://localhost:8000/");
      return;
    }
    if (!window.isSecureContext || !crypto.subtle) {
      fail("Open this page over https.", "Browsers do their cryptography on https and on localhost only.");
      return;
    }
    let kit;
    try {
      kit = JSON.parse(decode(await load("kit.json")));
      if (kit.format !== "sealsmith-kit-1") throw new Failure("it is of another form");
    } catch {
      fail("The kit beside this page cannot be read.", "kit.json is missing or damaged.");
      return;
    }
    const asOf = new Date(kit.as_of);
    if (asOf.getUTCFullYear() > 1) {
      $("about").textContent = "This page checks credentials that " + kit.server + " has sealed, with what that server had signed on " + day(asOf) + ". It works when that server is no more.";
      for (const e of document.querySelectorAll("[data-as-of]")) e.textContent = day(asOf);
    }
    const input = $("file");
    input.disabled = false;
    input.addEventListener("change", async () => {
      const file = input.files[0];
      if (!file) return;
      $("result").replaceChildren(element("p", "Checking …"));
      try {
        if (file.size > 20 << 20) throw new Failure("This file is too large to be a credential.");
        show(await examine(await read(new Uint8Array(await file.arrayBuffer())), kit));
      } catch (e) {
        fail(e instanceof Failure ? e.message : "This file cannot be checked.", "Ask the holder for the original sealed file.");
      }
    });
  }

  start();
})();
