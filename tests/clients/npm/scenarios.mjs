// What every client is put through, and how it tells what came of it: tests/clients/scenarios.py.

export const QUESTION = "What is 17*23?";
export const ANSWER = {
  type: "object",
  properties: {
    answer: { type: "integer" },
    kind: { type: "string", enum: ["product", "sum"] },
    steps: { type: "array", items: { type: "string" } },
  },
  required: ["answer", "kind", "steps"],
  additionalProperties: false,
};
export const FACTORS = {
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"],
  additionalProperties: false,
};

// The scenarios that another one's code plays, with a model or a key of their own.
const PLAYED_BY = { refused: "chat", unknown: "chat", failing: "chat", held: "stream", breaking: "stream" };

export async function play(scenarios) {
  const [url, key, poor, ...asked] = process.argv.slice(2);
  const told = {};
  for (const each of asked) {
    const [scenario, model] = each.split("/");
    const played = scenarios[PLAYED_BY[scenario] ?? scenario];
    try {
      told[each] = await played({ url, key: scenario === "refused" ? poor : key }, model);
    } catch (error) {
      told[each] = said(error);
    }
  }
  console.log(JSON.stringify(told));
}

function said(error) {
  const causes = [];
  for (let each = error; each; each = each.lastError ?? each.cause) causes.push(each);
  const status = causes.map((each) => each.status ?? each.statusCode).find((each) => each);
  const told = { raised: error.constructor.name, said: causes.map((each) => each.message).join("\n") };
  return status ? { ...told, status } : told;
}
