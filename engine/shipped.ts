// Picks that ship: measured on quiet machines by `tesserae tune`, and written here by bench/ship.ts. A user's own go before them.
import type { PickTable } from './picks.ts';

export const SHIPPED: readonly PickTable[] = [];
