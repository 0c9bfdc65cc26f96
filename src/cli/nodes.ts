// rnx nodes: the nodes file, without its secrets.

import {
  defaultEntry,
  type NodeEntry,
  nodesFilePath,
  readNodesFile,
} from '../client/nodes-file.ts';
import { JobletError } from '../shared/errors.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';

export const nodes = command({
  usage: 'rnx nodes',
  summary: 'Lists the nodes of the nodes file; * marks the one that is used by default.',
  notes: ['Certificates and keys are not shown, only whether they are there.'],
  examples: ['rnx nodes', 'rnx --node=production job list'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, { choice, env, json, out }) => {
    const path = nodesFilePath(choice, env);
    if (path === undefined) {
      throw new JobletError(
        'not-found',
        'there is no nodes file (rnx-config.yml); rnx config-help shows how to make one',
      );
    }
    const file = await readNodesFile(path);
    const chosen = defaultEntry(file)?.name;
    await out.write(
      json
        ? jsonText({ file: path, nodes: file.nodes.map((node) => nodeJson(node, chosen)) })
        : `Nodes in ${visible(path)}:\n\n${file.nodes.map((node) => nodeText(node, chosen)).join('\n')}\n` +
            'Use one with: rnx --node=NAME COMMAND, or RNX_NODE=NAME\n',
    );
    return 0;
  },
});

function nodeJson(node: NodeEntry, chosen: string | undefined): object {
  const { name, address, nodeId, cert, key, ca } = node;
  return {
    name,
    address,
    node_id: nodeId,
    default: name === chosen,
    cert: cert !== '',
    key: key !== '',
    ca: ca !== '',
  };
}

function nodeText(node: NodeEntry, chosen: string | undefined): string {
  const there = (text: string) => (text === '' ? 'absent' : 'present');
  return [
    `${node.name === chosen ? '*' : ' '} ${visible(node.name)}`,
    `    Address: ${visible(node.address)}`,
    `    Node ID: ${visible(node.nodeId) || '-'}`,
    `    Cert: ${there(node.cert)}`,
    `    Key:  ${there(node.key)}`,
    `    CA:   ${there(node.ca)}\n`,
  ].join('\n');
}
