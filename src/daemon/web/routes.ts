// What the web port answers: a path, the method of the API whose role it takes, and who answers.

import type { WebRequest } from './request.ts';

export interface Route {
  /** As people write it: words in capitals stand for whatever is there. */
  readonly path: string;
  /** Whoever may call this method of the API may ask for it. */
  readonly method: string;
  /** `words` are what stands in the places of the path's capitals. */
  answer(request: WebRequest, words: readonly string[]): Promise<void>;
}

/** The route of a path, with the words in its places. */
export function routeOf(
  routes: readonly Route[],
  pathname: string,
): { readonly route: Route; readonly words: readonly string[] } | undefined {
  const parts = pathname.split('/');
  for (const route of routes) {
    const wanted = route.path.split('/');
    const places = wanted.map((part) => /^[A-Z]+$/.test(part));
    const isHere =
      wanted.length === parts.length &&
      wanted.every((part, at) => (places[at] ? parts[at] !== '' : part === parts[at]));
    if (isHere) return { route, words: parts.filter((_, at) => places[at]) };
  }
  return undefined;
}
