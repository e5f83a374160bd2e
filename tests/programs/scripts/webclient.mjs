// PORT [GO]: an HTTP client that keeps its connections, and prints what it was answered.
// With GO it says "reached" when it has used one of them a hundred times, and waits for that file.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';

const [port, go] = process.argv.slice(2);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const sha = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);
const one = new http.Agent({ keepAlive: true, maxSockets: 1 });
const four = new http.Agent({ keepAlive: true, maxSockets: 4 });

function ask(agent, method, path, body) {
  return new Promise((done) => {
    const request = http.request({ host: '127.0.0.1', port, agent, method, path }, (response) => {
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece));
      response.on('end', () => done({ status: response.statusCode, body: Buffer.concat(pieces) }));
    });
    request.on('error', (error) => done({ error: error.code }));
    request.end(body);
  });
}

const told = (name, answer) =>
  console.log(name, answer.error ?? answer.status, answer.body?.length ?? '', answer.body ? sha(answer.body) : '');

for (let n = 0; n < 100; n++) {
  const answer = await ask(one, 'POST', '/', `message ${n}`);
  if (String(answer.body) !== `message ${n}`) told(`message ${n}`, answer);
}
told('sockets', await ask(one, 'GET', '/sockets'));
if (go) {
  console.log('reached');
  while (!fs.existsSync(go)) await sleep(10);
}
for (const size of [0, 1, 65536, 5000000]) told(`size ${size}`, await ask(one, 'GET', `/size/${size}`));
const large = crypto.createHash('shake256', { outputLength: 5000000 }).update('up').digest();
for (const method of ['POST', 'PUT']) told(method, await ask(one, method, '/', large));
told('pieces', await ask(one, 'GET', '/pieces/300'));
told('absent', await ask(one, 'GET', '/absent'));
const answers = await Promise.all([...Array(60).keys()].map((n) => ask(four, 'GET', `/size/${n * 1000}`)));
answers.forEach((answer, n) => told(`together ${n}`, answer));
told('reset', await ask(one, 'GET', '/reset'));
told('after', await ask(one, 'GET', '/size/10'));
told('sockets', await ask(one, 'GET', '/sockets'));

// a request in single bytes, the connection half closed behind it
const raw = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
raw.setNoDelay(true);
let heard = '';
raw.on('data', (data) => { heard += data; });
const ended = new Promise((done) => raw.on('close', done));
for (const letter of 'GET /size/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n') {
  await new Promise((done) => raw.write(letter, done));
}
raw.end();
await ended;
console.log('raw', heard.replace(/Date: .*\r\n/, '').length, heard.split('\r\n')[0]);
one.destroy();
four.destroy();
