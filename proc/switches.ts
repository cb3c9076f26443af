/** How often something stopped running: because it had to wait, and because its turn was over. */
export interface Switches {
  voluntary: number;
  involuntary: number;
}

export function addSwitches(to: Switches, { voluntary, involuntary }: Switches): void {
  to.voluntary += voluntary;
  to.involuntary += involuntary;
}
