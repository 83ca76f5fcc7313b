/** As Ollama writes it: 7241732096 is "7.2B", 618801 is "619K", 12300000 is "12.30M". */
export function humanNumber(count: number): string {
  const print = (unit: number, letter: string, digits: number): string => {
    const value = count / unit;
    return `${value.toFixed(Number.isInteger(value) ? 0 : digits)}${letter}`;
  };
  if (count >= 1e9) return print(1e9, "B", 1);
  if (count >= 1e6) return print(1e6, "M", 2);
  if (count >= 1e3) return print(1e3, "K", 0);
  return String(count);
}
