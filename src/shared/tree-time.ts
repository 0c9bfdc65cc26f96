/**
 * The time that everything in the tree of a runtime has, in seconds: the first that a zip file can hold.
 * So the same files make the same tree, and Python 2 can be told when its sources were changed last.
 */
export const TREE_TIME_S = Date.UTC(1980, 0, 1) / 1000;
