import { BlockList, isIP } from "node:net";

/** Of IPv4, what the registry of special-purpose addresses (RFC 6890 and IANA's list) does not call global. */
const SPECIAL_V4: readonly (readonly [address: string, prefix: number])[] = [
  ["0.0.0.0", 8], // this network
  ["10.0.0.0", 8], // private
  ["100.64.0.0", 10], // carrier-grade NAT
  ["127.0.0.0", 8], // loopback
  ["169.254.0.0", 16], // link-local, and the metadata services of clouds
  ["172.16.0.0", 12], // private
  ["192.0.0.0", 24], // protocol assignments
  ["192.0.2.0", 24], // documentation
  ["192.88.99.0", 24], // 6to4 relays
  ["192.168.0.0", 16], // private
  ["198.18.0.0", 15], // benchmarks
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, and broadcast
];

/** Of IPv6, what lies in the global unicast block 2000::/3 and still leads elsewhere. */
const SPECIAL_V6: readonly (readonly [address: string, prefix: number])[] = [
  ["2001::", 23], // protocol assignments: Teredo, ORCHID
  ["2001:db8::", 32], // documentation
  ["2002::", 16], // 6to4: an IPv4 address of any kind inside
  ["3fff::", 20], // documentation
];

const special = new BlockList();
for (const [address, prefix] of SPECIAL_V4) special.addSubnet(address, prefix, "ipv4");
for (const [address, prefix] of SPECIAL_V6) special.addSubnet(address, prefix, "ipv6");

/** Everything else of IPv6 is loopback, local, multicast, unassigned, or an IPv4 address in disguise (mapped, NAT64). */
const globalV6 = new BlockList();
globalV6.addSubnet("2000::", 3, "ipv6");

/** Whether an IP address, as text, belongs to the public internet. False for what is no address, or has a zone. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !special.check(address, "ipv4");
  if (family !== 6 || address.includes("%")) return false;
  return globalV6.check(address, "ipv6") && !special.check(address, "ipv6");
}
