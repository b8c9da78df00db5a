// Random numbers that a seed gives again (mulberry32).

/** A source of random choices. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** A whole number below n. */
  below(n) {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  /** True in so many of a hundred cases. */
  chance(percent) {
    return this.below(100) < percent;
  }

  /** One of a list. */
  one(list) {
    return list[this.below(list.length)];
  }

  /** Some of a list, at least so many, in its order. */
  some(list, least = 0) {
    const picked = list.filter(() => this.chance(50));
    for (const item of list) if (picked.length < least && !picked.includes(item)) picked.push(item);
    return list.filter((item) => picked.includes(item));
  }
}
