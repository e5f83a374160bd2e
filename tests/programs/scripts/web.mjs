// PORT [WORKERS [none]]: an HTTP server; with WORKERS a cluster of them, which take turns or ("none") accept themselves.
import cluster from 'node:cluster';
import crypto from 'node:crypto';
import http from 'node:http';

const [port, workers, policy] = process.argv.slice(2);

// bytes that depend on the size alone
function content(size) {
  return crypto.createHash('shake256', { outputLength: size }).update(String(size)).digest();
}

function serve() {
  const sockets = new Set();
  const server = http.createServer((request, response) => {
    sockets.add(request.socket);
    if (request.method === 'POST' || request.method === 'PUT') {
      response.writeHead(200, { 'X-Method': request.method });
      request.pipe(response);
    } else if (request.url.startsWith('/size/')) {
      response.end(content(Number(request.url.slice(6))));
    } else if (request.url.startsWith('/pieces/')) {
      for (let n = 0; n < Number(request.url.slice(8)); n++) response.write(`piece ${n}\n`);
      response.end();
    } else if (request.url === '/reset') {
      request.socket.resetAndDestroy();
    } else if (request.url === '/worker') {
      response.end(String(process.pid));
    } else if (request.url === '/sockets') {
      response.end(String(sockets.size));
    } else {
      response.writeHead(404).end('no such page\n');
    }
  });
  server.keepAliveTimeout = 30000;
  server.listen(Number(port), '127.0.0.1');
}

process.on('SIGTERM', () => process.exit(0));
if (workers && cluster.isPrimary) {
  cluster.schedulingPolicy = policy === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
  let listening = 0;
  for (let n = 0; n < Number(workers); n++) cluster.fork();
  cluster.on('listening', () => { if (++listening === Number(workers)) console.log('ready'); });
} else {
  serve();
}
