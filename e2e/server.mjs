// An authorization server for the tests: oidc-provider with one public native
// client, three confidential ones that are named for how they prove themselves,
// strict rotation of refresh tokens and PKCE, on a free loopback port.
//
// It prints one line {"issuer":…} when it listens, and ends when its standard
// input does, so that it never outlives the test that started it. It keeps a
// ledger of every code, verifier and token it has seen or issued, because only
// somebody who knows them all can show that none of them lies about.
//
// Control, on the same port:
//   GET  /e2e/ledger                 what it has seen and issued
//   GET  /e2e/client                 what its confidential clients prove themselves with
//   POST /e2e/life?access=SECONDS    life of the access tokens issued from now on
//   POST /e2e/fault?path=/token&count=1&…  what befalls the next requests there:
//        before=MS  wait before the request is served
//        after=MS   serve it, then hold the answer back
//        drop=1     serve it, then close the connection without the answer
//        status=N   answer N and serve nothing
import crypto from 'node:crypto';
import http from 'node:http';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Provider } from 'oidc-provider';

const ledger = { codes: [], verifiers: [], access: [], refresh: [], idTokens: [], refreshes: [], exchanges: 0, errors: [] };
const faults = [];
const clientSecret = 'a secret + more/&='; // every character that an encoding may spoil
const clientKey = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
let accessLife = 3600;

const reply = (res, status, body) => {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
};

function control(url, req, res) {
  const number = (name, otherwise) => Number(url.searchParams.get(name) ?? otherwise);
  switch (`${req.method} ${url.pathname}`) {
    case 'GET /e2e/ledger':
      return reply(res, 200, ledger);
    case 'GET /e2e/client':
      return reply(res, 200, { secret: clientSecret, key: clientKey.privateKey.export({ format: 'pem', type: 'pkcs8' }) });
    case 'POST /e2e/life':
      accessLife = number('access', 3600);
      return reply(res, 200, { accessLife });
    case 'POST /e2e/fault':
      faults.push({
        path: url.searchParams.get('path') ?? '/token',
        count: number('count', 1),
        before: number('before', 0),
        after: number('after', 0),
        status: number('status', 0),
        drop: url.searchParams.has('drop'),
      });
      return reply(res, 200, { faults: faults.length });
    default:
      return reply(res, 404, { error: 'no such control' });
  }
}

// suffer lets a fault happen to a request. It reports whether the request is
// still to be served.
async function suffer(fault, res) {
  fault.count -= 1;
  if (fault.count <= 0) faults.splice(faults.indexOf(fault), 1);
  await sleep(fault.before);
  if (fault.status) {
    reply(res, fault.status, { error: 'temporarily_unavailable' });
    return false;
  }
  if (fault.drop) res.end = () => res.destroy();
  if (fault.after) {
    const end = res.end.bind(res);
    res.end = (...body) => setTimeout(end, fault.after, ...body);
  }
  return true;
}

let provider;
const server = http.createServer(async (req, res) => {
  const url = new URL(req.url, 'http://127.0.0.1');
  if (url.pathname.startsWith('/e2e/')) return control(url, req, res);
  const fault = faults.find((f) => f.path === url.pathname);
  if (fault && !(await suffer(fault, res))) return undefined;
  return provider.callback()(req, res);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

provider = new Provider(issuer, {
  clients: [{
    client_id: 'rig',
    application_type: 'native', // any loopback port will do, RFC 8252 §7.3
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/cb'],
  }, ...['client_secret_basic', 'client_secret_post', 'private_key_jwt'].map((method) => ({
    client_id: method,
    application_type: 'native',
    token_endpoint_auth_method: method,
    ...(method === 'private_key_jwt' ? { jwks: { keys: [clientKey.publicKey.export({ format: 'jwk' })] } } : { client_secret: clientSecret }),
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/cb'],
  }))],
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@example.org` }) }),
  claims: { openid: ['sub'], email: ['email'] },
  conformIdTokenClaims: false, // the e-mail in the ID token too, as most providers do
  scopes: ['openid', 'offline_access', 'email'],
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, deviceFlow: { enabled: true }, revocation: { enabled: true } },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: () => accessLife,
    AuthorizationCode: 60,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
  cookies: { keys: ['e2e'] },
});

const keep = (list, value) => { if (value) list.push(value); };

provider.on('authorization.success', (ctx, answer) => keep(ledger.codes, answer?.code)); // a yes to a device is none
provider.on('device_authorization.success', (ctx, answer) => keep(ledger.codes, answer.device_code));
provider.on('grant.success', (ctx) => {
  const sent = ctx.oidc.params, got = ctx.body;
  keep(ledger.access, got.access_token);
  keep(ledger.refresh, got.refresh_token);
  keep(ledger.idTokens, got.id_token);
  note(sent, '', got.refresh_token);
});
provider.on('grant.error', (ctx, err) => note(ctx.oidc?.params ?? {}, err.error ?? 'error', undefined));
provider.on('server_error', (ctx, err) => ledger.errors.push(String(err.stack)));

// note enters a request to the token endpoint, in the order in which they were
// decided. Codes and verifiers count as seen also when they were refused.
function note(sent, error, issued) {
  keep(ledger.verifiers, sent.code_verifier);
  const polled = sent.grant_type === 'urn:ietf:params:oauth:grant-type:device_code' && !error;
  if (polled || sent.grant_type === 'authorization_code') ledger.exchanges += 1;
  if (sent.grant_type === 'refresh_token') ledger.refreshes.push({ sent: sent.refresh_token, issued, error, at: Date.now() });
}

process.stdin.resume().on('end', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
