// Vercel's AI SDK on its OpenAI provider.

import { createOpenAI } from "@ai-sdk/openai";
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { ANSWER, FACTORS, QUESTION, play } from "./scenarios.mjs";

const tools = {
  multiply: tool({ inputSchema: jsonSchema(FACTORS), execute: ({ a, b }) => a * b }),
};

const asked = ({ url, key }, model) => ({
  model: createOpenAI({ baseURL: url, apiKey: key }).chat(model),
  prompt: QUESTION,
});
const tokens = (usage) => [usage.inputTokens, usage.outputTokens];

async function chat(gateway, model) {
  const got = await generateText(asked(gateway, model));
  return { text: got.text, tokens: tokens(got.usage) };
}

async function stream(gateway, model) {
  const pieces = [];
  let wrong;
  const got = streamText({ ...asked(gateway, model), onError: ({ error }) => (wrong = error) });
  for await (const piece of got.textStream) pieces.push(piece);
  if (wrong) throw wrong;
  return { text: pieces.join(""), pieces: pieces.length, tokens: tokens(await got.usage) };
}

async function called(gateway, model) {
  const got = await generateText({ ...asked(gateway, model), tools, stopWhen: stepCountIs(3) });
  return round(got.steps);
}

async function calledInStream(gateway, model) {
  const got = streamText({ ...asked(gateway, model), tools, stopWhen: stepCountIs(3) });
  await got.consumeStream();
  return round(await got.steps);
}

function round(steps) {
  const [first, last] = steps;
  const [call] = first.toolCalls;
  return { called: call.toolName, arguments: call.input, text: last.text };
}

async function structured(gateway, model) {
  const output = Output.object({ schema: jsonSchema(ANSWER) });
  return (await generateText({ ...asked(gateway, model), output })).output;
}

await play({ chat, stream, tools: called, tools_streamed: calledInStream, structured });
