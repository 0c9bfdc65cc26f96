import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { roles } from '../jobs/job.ts';
import { refusal, roleOf, rules } from './roles.ts';
import { services } from './services.ts';

test('every method of the API has its row in the table of roles', () => {
  for (const service of services) {
    for (const method of service.methods) {
      const path = `/${service.typeName}/${method.name}`;
      assert.ok(rules.has(path), `${path} has no role`);
    }
  }
});

test('the table of roles has no row for a method that does not exist', () => {
  const known = new Set(
    services.flatMap((service) =>
      service.methods.map((method) => `/${service.typeName}/${method.name}`),
    ),
  );
  for (const path of rules.keys()) {
    if (path.startsWith('/joblet.')) assert.ok(known.has(path), `${path} is no method`);
  }
});

test('S4-3, S4-5: a viewer reads and an admin does everything', () => {
  const may = (role: 'viewer' | 'admin', method: string) =>
    refusal({ name: 'x', role, units: [role] }, `/joblet.JobletService/${method}`) === undefined;
  for (const method of ['RunJob', 'GetJobStatus', 'StopJob', 'ListJobs', 'GetJobLogs']) {
    assert.equal(may('admin', method), true);
    assert.equal(may('viewer', method), !['RunJob', 'StopJob'].includes(method), method);
  }
});

test('S2-6: the roles differ where the table says so', () => {
  const weakest = (path: string) =>
    roles.find((role) => refusal({ name: 'x', role, units: [role] }, path) === undefined);
  assert.equal(weakest('/joblet.JobService/RunJob'), 'developer');
  assert.equal(weakest('/joblet.JobService/DeleteAllJobs'), 'developer');
  assert.equal(weakest('/joblet.NetworkService/CreateNetwork'), 'operator');
  assert.equal(weakest('/joblet.NetworkService/RemoveNetwork'), 'admin');
  assert.equal(weakest('/joblet.RuntimeService/TestRuntime'), 'developer');
  assert.equal(weakest('/joblet.RuntimeService/InstallRuntime'), 'operator');
  assert.equal(weakest('/joblet.RuntimeService/RemoveRuntime'), 'admin');
  assert.equal(weakest('/joblet.persist.PersistService/DeleteJob'), 'admin');
});

test('S4-28: a refusal names the role and the operation', () => {
  const error = refusal(
    { name: 'ann', role: 'viewer', units: ['viewer'] },
    '/joblet.JobService/RunJob',
  );
  assert.equal(error?.kind, 'denied');
  assert.equal(error?.message, 'role viewer is not allowed to perform operation run_job');
});

test('a method that is not in the table is refused to everybody', () => {
  const admin = { name: 'root', role: 'admin', units: ['admin'] } as const;
  assert.equal(refusal(admin, '/joblet.JobService/Surprise')?.kind, 'denied');
  assert.equal(refusal(admin, '/constructor')?.kind, 'denied');
});

test('several units give the weakest role, in any order and spelling', () => {
  assert.equal(roleOf(['admin', 'viewer']), 'viewer');
  assert.equal(roleOf(['Developer', 'ADMIN']), 'developer');
  assert.equal(roleOf(['maintainer']), 'operator');
  assert.equal(roleOf(['reader', 'admin']), 'viewer');
});

test('no unit, or one that is no role, gives no role', () => {
  assert.equal(roleOf([]), undefined);
  assert.equal(roleOf(['']), undefined);
  assert.equal(roleOf(['janitor']), undefined);
  assert.equal(roleOf(['admin', 'janitor']), undefined);
  assert.equal(roleOf(['constructor', 'admin']), undefined);
  const caller = { name: 'x', role: undefined, units: ['janitor'] };
  assert.match(
    refusal(caller, '/joblet.JobService/ListJobs')?.message ?? '',
    /^role unknown is not allowed to perform operation list_jobs: .*janitor/,
  );
});

test('adding a unit never gives more', () => {
  const rank = (units: readonly string[]) => {
    const role = roleOf(units);
    return role === undefined ? -1 : roles.indexOf(role);
  };
  const unit = fc.oneof(fc.constantFrom('viewer', 'reader', 'operator', 'admin'), fc.string());
  fc.assert(
    fc.property(fc.array(unit, { minLength: 1 }), unit, (units, extra) => {
      assert.ok(rank([...units, extra]) <= rank(units));
    }),
  );
});
