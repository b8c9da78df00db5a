// npm graphql, with the same data.

import {
  buildSchema, execute, experimentalExecuteIncrementally, GraphQLDeferDirective, GraphQLList, GraphQLSchema, GraphQLStreamDirective, isEnumType, isInterfaceType, isListType, isNonNullType, isObjectType, legacyExecuteIncrementally, parse, subscribe, validate, validateSchema, visit,
} from 'graphql';
import { Data, EnumValue } from './data.mjs';

/** Makes the schema of a text with resolvers. */
export function makeSchema(sdl, rates, counts) {
  const schema = buildSchema(sdl);
  const problems = validateSchema(schema);
  if (problems.length > 0) throw new Error(problems.map(String).join('\n'));
  return resolved(schema, new Data(schema, rates, counts));
}

/** The schema of a text with resolvers, and with @defer and @stream. */
export function makeIncrementalSchema(sdl, rates, counts) {
  const plain = buildSchema(sdl).toConfig();
  const schema = new GraphQLSchema({ ...plain, directives: [...plain.directives, GraphQLDeferDirective, GraphQLStreamDirective] });
  return resolved(schema, new Data(schema, rates, counts));
}

/** The same schema with every output nullable: no error keeps another from being found. */
export function makeLenient(sdl, rates) {
  const schema = buildSchema(sdl);
  validateSchema(schema);
  resolved(schema, new Data(schema, rates, { injected: 0 }, true));
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__') || !(isObjectType(type) || isInterfaceType(type))) continue;
    for (const field of Object.values(type.getFields())) field.type = nullable(field.type);
  }
  return schema;
}

function nullable(type) {
  if (isNonNullType(type)) return nullable(type.ofType);
  return isListType(type) ? new GraphQLList(nullable(type.ofType)) : type;
}

function resolved(schema, data) {
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__')) continue;
    if (isEnumType(type)) ownValues(type);
    if (isObjectType(type)) resolveFields(type, data, type === schema.getSubscriptionType());
  }
  return schema;
}

/** Gives an enum values that are not its names. */
function ownValues(type) {
  for (const v of type.getValues()) v.value = new EnumValue(v.name);
}

function resolveFields(type, data, subscription) {
  for (const field of Object.values(type.getFields())) {
    const { name, type } = field;
    if (subscription) {
      field.subscribe = (_, args) => data.source(name, args);
      field.resolve = (event) => data.event(event, type);
    } else {
      field.resolve = (parent, args) => data.field(parent, name, type, args);
    }
  }
}

/** All errors there are in an operation that was executed, one list for each of its responses. */
export async function allErrors(lenient, { query, operationName, variables }) {
  const { responses } = await run({ schema: lenient, document: parseOperation(query), variableValues: variables ?? undefined, operationName });
  return responses.map((r) => r.errors ?? []);
}

/** Parses an operation by the grammar of the specification, in which a selection set is never empty. */
const parseOperation = (query) => parse(query, { allowEmptySelectionSets: false });

/** Says what is wrong with an operation: the stage, "parse" or "validate", and the errors. */
export function refusal(schema, query) {
  let document;
  try {
    document = parseOperation(query);
  } catch (error) {
    return { stage: 'parse', errors: [error] };
  }
  const errors = validate(schema, document);
  return errors.length > 0 ? { stage: 'validate', errors } : { document };
}

/** Says what is wrong with a schema. */
export function schemaProblems(sdl) {
  try {
    const schema = buildSchema(sdl);
    return { schema, problems: validateSchema(schema) };
  } catch (error) {
    return { problems: [error] };
  }
}

/** Executes a request as the subject does; adds the stage at which it ended. */
export async function answer(schema, { query, operationName, variables }) {
  const { stage, errors, document } = refusal(schema, query);
  if (stage) return { stage, responses: [{ errors }] };
  return { document, ...(await run({ schema, document, variableValues: variables ?? undefined, operationName })) };
}

/**
 * Executes a request in parts, which are told by path and label or by id; gives all responses, and the stage at
 * which it ended.
 */
export async function answerInParts(schema, { query, operationName, variables }, byPath) {
  const { stage, errors, document } = refusal(schema, query);
  if (stage) return { stage, responses: [{ errors }] };
  const result = await (byPath ? legacyExecuteIncrementally : experimentalExecuteIncrementally)({ schema, document, variableValues: variables ?? undefined, operationName });
  if (!('initialResult' in result)) return { stage: 'data' in result ? 'execute' : 'variables', document, responses: [result] };
  const responses = [result.initialResult];
  for await (const response of result.subsequentResults) responses.push(response);
  return { stage: 'execute', document, responses };
}

/** All errors there are in an operation whose @defer and @stream are taken away. */
export async function allErrorsAtOnce(lenient, document, { operationName, variables }) {
  const plain = visit(document, { Directive: (node) => (['defer', 'stream'].includes(node.name.value) ? null : undefined) });
  return (await execute({ schema: lenient, document: plain, variableValues: variables ?? undefined, operationName })).errors ?? [];
}

async function run(args) {
  const { document, operationName } = args;
  const operation = document.definitions.filter((d) => d.kind === 'OperationDefinition').find((d) => !operationName || d.name?.value === operationName);
  const result = await (operation?.operation === 'subscription' ? subscribe(args) : execute(args));
  if (!(Symbol.asyncIterator in result)) {
    const stage = 'data' in result ? 'execute' : result.errors.some((e) => e.path) ? 'source' : 'variables';
    return { stage, operation, responses: [result] };
  }
  const responses = [];
  for await (const response of result) responses.push(response);
  return { stage: 'execute', source: true, operation, responses };
}
