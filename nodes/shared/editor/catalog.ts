/** Texts that all dialogs share stand in the label catalog of tm-config, which every flow of this package has. */
const CATALOG = '@turbomechanica/node-red-data-connector/tm-config';

export function say(key: string, values: Readonly<Record<string, string | number>> = {}): string {
  return RED._(`${CATALOG}:shared.${key}`, { ...values });
}
