// Shows /openapi.json.
"use strict";

function make(tag, text, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  node.append(...children);
  return node;
}

/** A heading, and a list of names with what they are. */
function list(title, pairs) {
  const items = pairs.flatMap(([name, text]) => [make("dt", undefined, make("code", name)), make("dd", text)]);
  return pairs.length ? [make("h3", title), make("dl", undefined, ...items)] : [];
}

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  const paths = Object.entries(api.paths).sort(([, a], [, b]) => (b.post ? 1 : 0) - (a.post ? 1 : 0));
  for (const [path, methods] of paths) {
    for (const [method, { summary, parameters = [], requestBody, responses }] of Object.entries(methods)) {
      const part = make("section", undefined, make("h2", undefined, make("code", `${method.toUpperCase()} ${path}`)), make("p", summary));
      part.append(...list("Parameters", parameters.map((p) => [`?${p.name}=true`, p.description])));
      if (requestBody) {
        const forms = Object.entries(requestBody.content);
        const about = ({ schema }) => schema.description ?? (schema.format ? "The bytes of a file." : schema.properties?.file ? "Files, as a form sends them." : "See the schema.");
        part.append(...list("Bodies, by their Content-Type", forms.map(([type, content]) => [type, about(content)])));
        const [type, content] = forms[0];
        const body = content.example ? JSON.stringify(content.example) : undefined;
        const data = body ? `-H 'content-type: ${type}' -d '${body.replaceAll("'", "'\\''")}'` : "-H 'content-type: image/jpeg' --data-binary @photo.jpg";
        part.append(make("h3", "Example"), make("pre", `curl ${location.origin}${path} ${data}`));
      }
      part.append(...list("Answers", Object.entries(responses).map(([status, { description }]) => [status, description])));
      const schema = make("details", undefined, make("summary", "Schema"), make("pre", JSON.stringify({ requestBody, responses }, null, 2)));
      part.append(schema);
      document.getElementById("paths").append(part);
    }
  }
}

start().catch((error) => { document.getElementById("status").textContent = `The description cannot be read: ${error.message}`; });
