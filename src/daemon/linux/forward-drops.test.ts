import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findForwardDrops } from './forward-drops.ts';

const RULESET = (more: string) => `table ip filter {
	chain INPUT {
		type filter hook input priority 0; policy drop;
	}

	chain FORWARD {
		type filter hook forward priority 0; policy drop;
		${more}
		counter packets 0 bytes 0 jump DOCKER-USER
	}

	chain DOCKER-USER {
		return
	}
}
table inet open {
	chain forward {
		type filter hook forward priority 0; policy accept;
	}
}
`;

test('a chain of the host that drops what is forwarded is named, unless it lets jobs pass both ways', () => {
  const drop = { family: 'ip', table: 'filter', chain: 'FORWARD' };
  assert.deepEqual(findForwardDrops(RULESET('')), [drop]);
  assert.deepEqual(findForwardDrops(RULESET('iifname "jl*" accept')), [drop]);
  const both = 'iifname "jl*" accept\n\t\toifname "jl*" counter packets 3 bytes 1 accept';
  assert.deepEqual(findForwardDrops(RULESET(both)), []);
  assert.deepEqual(findForwardDrops(''), []);
});
