import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deviceOf, interfacesOf, isDevice } from './rules.ts';

test("no name of a job's interface is taken for the device of a network", () => {
  assert.equal(isDevice('jlkw9a', 'jlkw9an4xwin9'), false);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9999 }), fc.nat(36 ** 4 - 1), (number, count) => {
      const network = { number };
      assert.equal(isDevice('jl0000', deviceOf('jl0000', network)), true);
      assert.equal(
        isDevice('jl0000', `${interfacesOf('jl0000', network)}${count.toString(36)}`),
        false,
      );
    }),
  );
});
