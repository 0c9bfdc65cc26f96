// rnx config-help: what a nodes file looks like and where it belongs. Works without one.

import { searchPaths } from '../client/nodes-file.ts';
import { command } from './command.ts';
import { jsonText } from './print.ts';

const sample = `version: "3.0"
nodes:
  default:
    address: "localhost:50051"
    cert: |
      -----BEGIN CERTIFICATE-----
      ...
      -----END CERTIFICATE-----
    key: |
      -----BEGIN PRIVATE KEY-----
      ...
      -----END PRIVATE KEY-----
    ca: |
      -----BEGIN CERTIFICATE-----
      ...
      -----END CERTIFICATE-----
  production:
    address: "prod.example.com:50051"
    isDefault: true
    # cert, key and ca as above
`;

export const configHelp = command({
  usage: 'rnx config-help',
  summary: 'Explains the nodes file (rnx-config.yml), with a sample.',
  examples: ['rnx config-help'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, { json, out }) => {
    const paths = ['--config PATH', '$RNX_CONFIG', ...searchPaths()];
    await out.write(json ? jsonText({ sample, search: paths }) : text(paths));
    return 0;
  },
});

function text(paths: readonly string[]): string {
  return `rnx needs to know where the daemon is and which certificates to show it. Both stand in
a nodes file, which \`joblet certs init\` makes on the server. A sample:

${sample.replace(/^(?=.)/gm, '  ')}
It is looked for here, the first that exists is used:
${paths.map((path) => `  ${path}`).join('\n')}

Which node: --node NAME, $RNX_NODE, the one with isDefault: true, default_node: NAME
at the top of the file, the one called default, or the only one.

Without a nodes file: --server HOST:PORT --cert FILE --key FILE --ca FILE, or
$JOBLET_SERVER, $JOBLET_CERT_PATH, $JOBLET_KEY_PATH, $JOBLET_CA_PATH
(localhost:50051 and certs/client-cert.pem, client-key.pem, ca-cert.pem when left out).

The file holds a private key: keep it to yourself (chmod 600) and out of version
control. What you may do on a node is decided by the role in the certificate.
`;
}
