// OpenAI's own SDK for JavaScript.

import OpenAI from "openai";
import { ANSWER, FACTORS, QUESTION, play } from "./scenarios.mjs";

const messages = [{ role: "user", content: QUESTION }];
const tools = [
  { type: "function", function: { name: "multiply", strict: true, parameters: FACTORS } },
];

const client = ({ url, key }) => new OpenAI({ baseURL: url, apiKey: key });
const tokens = (usage) => [usage.prompt_tokens, usage.completion_tokens];

async function chat(gateway, model) {
  const got = await client(gateway).chat.completions.create({ model, messages });
  return { text: got.choices[0].message.content, tokens: tokens(got.usage) };
}

async function stream(gateway, model) {
  const pieces = [];
  let usage;
  const chunks = await client(gateway).chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    pieces.push(...chunk.choices.map((choice) => choice.delta.content).filter(Boolean));
  }
  return { text: pieces.join(""), pieces: pieces.length, tokens: tokens(usage) };
}

async function called(gateway, model) {
  const got = await client(gateway).chat.completions.create({ model, messages, tools });
  return second(gateway, model, got.choices[0].message);
}

async function calledInStream(gateway, model) {
  const chunks = client(gateway).chat.completions.stream({ model, messages, tools });
  return second(gateway, model, (await chunks.finalChatCompletion()).choices[0].message);
}

// The tool's result, and what is said to it.
async function second(gateway, model, message) {
  const [call] = message.tool_calls;
  const input = JSON.parse(call.function.arguments);
  const result = { role: "tool", tool_call_id: call.id, content: String(input.a * input.b) };
  const got = await client(gateway).chat.completions.create({
    model,
    messages: [...messages, message, result],
    tools,
  });
  return { called: call.function.name, arguments: input, text: got.choices[0].message.content };
}

async function structured(gateway, model) {
  const got = await client(gateway).chat.completions.parse({
    model,
    messages,
    response_format: {
      type: "json_schema",
      json_schema: { name: "answer", strict: true, schema: ANSWER },
    },
  });
  return JSON.parse(got.choices[0].message.content);
}

await play({ chat, stream, tools: called, tools_streamed: calledInStream, structured });
