/* node-smpp as a peer of the product, told what to do line by line.
 *
 *   peer.js esme PORT SYSTEM_ID PASSWORD    binds as a transceiver
 *   peer.js smsc PORT                       accepts every bind, takes every message, says that it was delivered
 *
 * A line on stdin is a PDU to send, {"command": ..., "fields": {...}, "note": ...}. Each line on stdout is something that
 * happened, {"happened": "ready" | "bound" | "response" | "request", ...}; a response carries the note of its request.
 * Ends with its stdin: an ESME unbinds first.
 */
'use strict';

const readline = require('readline');
const smpp = require('smpp');

const [role, port, systemId, password] = process.argv.slice(2);
const messageIds = { next: 1 };
let session;

function tell(happened, more) {
  process.stdout.write(JSON.stringify({ happened, ...more }) + '\n');
}

function fail(error) {
  process.stderr.write(`${error.stack || error}\n`);
  process.exit(1);
}

/* A text, or one part of it: {"udh": [octets], "message": text}. */
function userData(value) {
  return typeof value === 'object' ? { ...value, udh: Buffer.from(value.udh) } : value;
}

/* Sends one PDU and tells its response. node-smpp writes at once, so the order of the lines is that of the PDUs. */
function send({ command, fields, note }) {
  for (const name of ['short_message', 'message_payload']) {
    if (name in fields) fields[name] = userData(fields[name]);
  }
  session.send(new smpp.PDU(command, fields), (pdu) => tell('response', { note, pdu }));
}

function answerTheUsual(peer) {
  peer.on('enquire_link', (pdu) => peer.send(pdu.response()));
  peer.on('unbind', (pdu) => peer.send(pdu.response(), () => peer.close()));
  peer.on('error', fail);
}

function runEsme() {
  session = smpp.connect({ host: '127.0.0.1', port: Number(port) });
  answerTheUsual(session);
  session.on('deliver_sm', (pdu) => {
    tell('request', { pdu });
    session.send(pdu.response());
  });
  session.on('connect', () => {
    session.bind_transceiver({ system_id: systemId, password }, (pdu) => tell('bound', { pdu }));
  });
  return () => session.unbind(() => session.close());
}

function takeMessage(peer, pdu) {
  const messageId = String(messageIds.next++);
  tell('request', { pdu });
  peer.send(pdu.response({ message_id: messageId }), () => {
    if (!(pdu.registered_delivery & 1)) return;
    peer.deliver_sm({
      esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
      source_addr: pdu.destination_addr,
      destination_addr: pdu.source_addr,
      data_coding: 0,
      short_message: `id:${messageId} sub:001 dlvrd:001 submit date:2611211030 done date:2611211031 stat:DELIVRD err:000 text:`,
      receipted_message_id: messageId,
      message_state: smpp.MESSAGE_STATE.DELIVERED,
    });
  });
}

function runSmsc() {
  const server = smpp.createServer((peer) => {
    session = peer;
    answerTheUsual(peer);
    peer.on('bind_transceiver', (pdu) => {
      peer.send(pdu.response({ system_id: 'node' }));
      tell('bound', { pdu });
    });
    peer.on('submit_sm', (pdu) => takeMessage(peer, pdu));
  });
  server.on('error', fail);
  server.listen(Number(port), '127.0.0.1', () => tell('ready'));
  return () => process.exit(0);
}

const leave = role === 'esme' ? runEsme() : runSmsc();
readline.createInterface({ input: process.stdin }).on('line', (line) => send(JSON.parse(line))).on('close', leave);
