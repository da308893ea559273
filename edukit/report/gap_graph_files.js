// The graph, with the edits made here, as files that edukit and other tools read: an edukit graph file, and CASE 1.1.

const READER = "reader of the gap map";

// Concepts, prerequisites and the votes that give the reasons, as rows of edukit's tables.
function graphTables() {
  const removed = new Set(), added = new Map(), votes = new Map();
  for (const { kind, from, to, reason, time } of edits) {
    const key = `${from}>${to}`, vote = { concept_id: concepts[to].id, requires_id: concepts[from].id, rater_id: READER, rationale: reason, timestamp: time };
    votes.set(key, { ...vote, vote: kind === "add" ? "yes" : "no" });
    if (kind === "add") {
      added.set(key, { concept_id: concepts[to].id, requires_id: concepts[from].id, source: READER, weight: 1, rationale: reason, channel: "expert" });
    } else {
      added.delete(key);
      removed.add(key);
    }
  }
  const kept = DATA.claims.filter(([from, to]) => !removed.has(`${from}>${to}`));
  const claims = kept.map(([from, to, more]) => ({ concept_id: concepts[to].id, requires_id: concepts[from].id, ...more }));
  const listed = concepts.map(({ id, name, topic, more }) => ({ concept_id: id, name, ...(topic ? { topic } : {}), ...more }));
  const sorted = (rows, ...keys) => rows.sort((a, b) => keys.reduce((found, key) => found || (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0), 0));
  return {
    concepts: sorted(listed, "concept_id"), prerequisites: sorted([...claims, ...added.values()], "concept_id", "requires_id", "source"),
    concept_tree: [], votes: sorted([...votes.values()], "concept_id", "requires_id"),
  };
}

// One row a line, as edukit writes its graph files; the history begins when edukit saves it.
function graphFile() {
  const listed = rows => rows.length ? `[\n${rows.map(row => `  ${JSON.stringify(row)}`).join(",\n")}\n ]` : "[]";
  const parts = Object.entries(graphTables()).map(([name, rows]) => ` "${name}": ${listed(rows)}`);
  return `{\n${[' "edukit_graph": 1', ...parts, ' "history": []'].join(",\n")}\n}\n`;
}

// The same words, the same identifier: four 32-bit mixes (Appleby 2011, MurmurHash3) as a UUID of version 8.
function guid(text) {
  const mixed = [0, 1, 2, 3].map(seed => {
    let h = seed * 0x9e3779b9;
    for (let k = 0; k < text.length; k++) {
      h = Math.imul(h ^ Math.imul(text.charCodeAt(k), 0xcc9e2d51), 0x85ebca6b);
      h = (h << 13) | (h >>> 19);
    }
    h = Math.imul(h ^ (h >>> 16) ^ text.length, 0xc2b2ae35);
    return ((h ^ (h >>> 16)) >>> 0).toString(16).padStart(8, "0");
  }).join("");
  return `${mixed.slice(0, 8)}-${mixed.slice(8, 12)}-8${mixed.slice(13, 16)}-a${mixed.slice(17, 20)}-${mixed.slice(20)}`;
}

// A CFPackage; what plain fields cannot say (ids, exact names, weights) stands in `extensions.edukit`, where edukit looks for it.
function caseFile() {
  const changed = new Date().toISOString(), title = DATA.title, top = guid(`document\n${title}`), tables = graphTables();
  const entry = (identifier, fields) => ({ identifier, uri: `urn:uuid:${identifier}`, lastChangeDateTime: changed, ...fields });
  const isGuid = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;
  const item = id => isGuid.test(id) ? id : guid(`item\n${title}\n${id}`), names = new Map(tables.concepts.map(row => [row.concept_id, row.name]));
  const end = (identifier, shownTitle) => ({ title: shownTitle, identifier, uri: `urn:uuid:${identifier}`, targetType: "CASE" });
  const headings = new Map(), links = [];
  const join = (type, origin, destination, number, more = {}) => links.push(entry(guid(`${type}\n${origin.identifier}\n${destination.identifier}\n${number}`),
    { associationType: type, sequenceNumber: number, originNodeURI: origin, destinationNodeURI: destination, ...more }));
  const heading = (text, above) => {
    const identifier = guid(`heading\n${above.identifier}\n${text}`);
    if (!headings.has(identifier)) {
      const own = { heading: true, name: text };
      headings.set(identifier, entry(identifier, { fullStatement: text, abbreviatedStatement: text, extensions: { edukit: own } }));
      join("isChildOf", end(identifier, text), above, links.length + 1);
    }
    return end(identifier, text);
  };
  const items = tables.concepts.map(({ concept_id: id, name, topic = null, area = null, description = null, level = null }) => {
    const above = [area, topic].filter(Boolean).reduce((place, text) => heading(text, place), end(top, title));
    join("isChildOf", end(item(id), name), above, links.length + 1);
    const own = { concept_id: id, name, topic, area, description, level };
    return entry(item(id), { fullStatement: description || name || id, abbreviatedStatement: name, humanCodingScheme: id, extensions: { edukit: own } });
  });
  tables.prerequisites.forEach(({ concept_id: to, requires_id: from, rationale, ...own }, k) => {
    const notes = rationale ? { notes: rationale } : {};
    join("precedes", end(item(from), names.get(from)), end(item(to), names.get(to)), k + 1, { ...notes, extensions: { edukit: own } });
  });
  const about = entry(top, { title, creator: READER, caseVersion: "1.1" });
  return `${JSON.stringify({ CFDocument: about, CFItems: [...headings.values(), ...items], CFAssociations: links }, null, 1)}\n`;
}
