// Clients of gRPC-Web that nobody here wrote, behind one small interface, in Node and in browsers:
// @connectrpc/connect-web, which uses fetch, and npm grpc-web, which uses XMLHttpRequest.

import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { GrpcWebClientBase, MethodDescriptor, MethodType } from 'grpc-web';

const service = 'comm.v1.HubService';

/** The hub's service from its FileDescriptorSet. */
const hub = (set) => createFileRegistry(fromBinary(FileDescriptorSetSchema, set)).getService(service);

/**
 * connect-web. unary(name, request, metadata) gives { message, header, trailer }; stream(name, request, take)
 * calls take with each message and gives { done, cancel }. What fails rejects with { code, message }.
 */
export function connectWeb(url, set) {
  const desc = hub(set);
  const client = createClient(desc, createGrpcWebTransport({ baseUrl: url, useBinaryFormat: true }));
  const told = (e) => ({ code: Code[e.code].replace(/[A-Z]/g, (c, i) => (i ? '_' : '') + c).toUpperCase(), message: e.rawMessage });
  return {
    async unary(name, request = {}, metadata = {}, timeoutMs = undefined) {
      const seen = {};
      const options = { headers: metadata, timeoutMs, onHeader: (h) => (seen.header = h), onTrailer: (t) => (seen.trailer = t) };
      try {
        seen.message = await client[name](request, options);
      } catch (e) {
        throw told(e);
      }
      return { message: seen.message, header: Object.fromEntries(seen.header), trailer: Object.fromEntries(seen.trailer) };
    },
    stream(name, request, take, timeoutMs = undefined) {
      const abort = new AbortController();
      const run = async () => {
        try {
          for await (const m of client[name](request, { signal: abort.signal, timeoutMs })) take(m);
        } catch (e) {
          throw told(e);
        }
      };
      return { done: run(), cancel: () => abort.abort() };
    },
  };
}

const statusNames = ['OK', 'CANCELED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'];

/** npm grpc-web, in its format "text" (which can stream) or "binary" (which cannot). */
export function grpcWeb(url, set, format) {
  const desc = hub(set);
  const client = new GrpcWebClientBase({ format });
  const told = (e) => ({ code: statusNames[e.code], message: e.message });
  const method = (name) => {
    const m = desc.method[name];
    const type = m.methodKind === 'unary' ? MethodType.UNARY : MethodType.SERVER_STREAMING;
    return new MethodDescriptor(`/${service}/${m.name}`, type, Object, Object,
      (request) => toBinary(m.input, create(m.input, request)), (bytes) => fromBinary(m.output, bytes));
  };
  const deadline = (ms) => (ms ? { deadline: String(Date.now() + ms) } : {});
  return {
    unary: (name, request = {}, metadata = {}, timeoutMs = undefined) => new Promise((resolve, reject) => {
      const seen = { header: {}, trailer: {} };
      const m = method(name);
      const call = client.rpcCall(`${url}/${service}/${desc.method[name].name}`, request, { ...metadata, ...deadline(timeoutMs) }, m,
        (err, message) => (err ? reject(told(err)) : resolve({ ...seen, message })));
      call.on('metadata', (header) => (seen.header = header));
      call.on('status', (status) => (seen.trailer = status.metadata));
    }),
    stream(name, request, take, timeoutMs = undefined) {
      const call = client.serverStreaming(`${url}/${service}/${desc.method[name].name}`, request, deadline(timeoutMs), method(name));
      const done = new Promise((resolve, reject) => {
        call.on('data', take);
        call.on('end', resolve);
        call.on('error', (e) => reject(told(e)));
      });
      return { done, cancel: () => call.cancel() };
    },
  };
}
