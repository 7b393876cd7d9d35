// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A GPIO chip with two inputs and wires that can be cut, for the virtual machine: Debian's kernels
 * have none that needs no hardware.
 *
 * Writing "0g" to the module's parameter `wire` ties line 0 to ground, "0s" to supply, "0o" leaves it
 * open, so that it follows its pull. Line 0 tells of edges; line 1 has no interrupt, as on many port
 * expanders.
 */
#include <linux/gpio/driver.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/module.h>
#include <linux/pinctrl/pinconf-generic.h>
#include <linux/platform_device.h>

#define LINES 2

struct contact {
	struct gpio_chip chip;
	enum pin_config_param pull[LINES];
	unsigned int type[LINES];
};

static const char *const names[LINES] = { "STOP", "SLOW" };
static char tie[LINES] = { 'o', 'o' };
static struct contact *contact;

static int contact_get(struct gpio_chip *chip, unsigned int line)
{
	struct contact *own = gpiochip_get_data(chip);

	if (tie[line] == 'o')
		return own->pull[line] == PIN_CONFIG_BIAS_PULL_UP;
	return tie[line] == 's';
}

static int contact_input(struct gpio_chip *chip, unsigned int line)
{
	return 0;
}

static int contact_direction(struct gpio_chip *chip, unsigned int line)
{
	return GPIO_LINE_DIRECTION_IN;
}

static int contact_config(struct gpio_chip *chip, unsigned int line, unsigned long config)
{
	struct contact *own = gpiochip_get_data(chip);

	own->pull[line] = pinconf_to_config_param(config);
	return 0;
}

static void contact_mask(struct irq_data *data)
{
	gpiochip_disable_irq(irq_data_get_irq_chip_data(data), irqd_to_hwirq(data));
}

static void contact_unmask(struct irq_data *data)
{
	gpiochip_enable_irq(irq_data_get_irq_chip_data(data), irqd_to_hwirq(data));
}

static int contact_type(struct irq_data *data, unsigned int type)
{
	struct contact *own = gpiochip_get_data(irq_data_get_irq_chip_data(data));

	own->type[irqd_to_hwirq(data)] = type;
	return 0;
}

static const struct irq_chip contact_irq = {
	.name = "contact",
	.irq_mask = contact_mask,
	.irq_unmask = contact_unmask,
	.irq_set_type = contact_type,
	.flags = IRQCHIP_IMMUTABLE,
	GPIOCHIP_IRQ_RESOURCE_HELPERS,
};

static void contact_valid(struct gpio_chip *chip, unsigned long *mask, unsigned int lines)
{
	__clear_bit(1, mask);
}

static int wire_set(const char *text, const struct kernel_param *param)
{
	unsigned int line, wanted;
	unsigned long flags;
	char to;
	int before, after;

	if (sscanf(text, "%u%c", &line, &to) != 2 || line >= LINES || !strchr("gso", to))
		return -EINVAL;
	if (!contact) {
		tie[line] = to;
		return 0;
	}
	before = contact_get(&contact->chip, line);
	tie[line] = to;
	after = contact_get(&contact->chip, line);
	wanted = after > before ? IRQ_TYPE_EDGE_RISING : IRQ_TYPE_EDGE_FALLING;
	if (after != before && (contact->type[line] & wanted)) {
		local_irq_save(flags);
		generic_handle_domain_irq(contact->chip.irq.domain, line);
		local_irq_restore(flags);
	}
	return 0;
}

static const struct kernel_param_ops wire_ops = { .set = wire_set };
module_param_cb(wire, &wire_ops, NULL, 0200);

static int contact_probe(struct platform_device *device)
{
	struct contact *own = devm_kzalloc(&device->dev, sizeof(*own), GFP_KERNEL);
	struct gpio_chip *chip;
	int error;

	if (!own)
		return -ENOMEM;
	chip = &own->chip;
	chip->label = "contact";
	chip->parent = &device->dev;
	chip->owner = THIS_MODULE;
	chip->base = -1;
	chip->ngpio = LINES;
	chip->names = names;
	chip->get = contact_get;
	chip->get_direction = contact_direction;
	chip->direction_input = contact_input;
	chip->set_config = contact_config;
	gpio_irq_chip_set_chip(&chip->irq, &contact_irq);
	chip->irq.handler = handle_simple_irq;
	chip->irq.default_type = IRQ_TYPE_NONE;
	chip->irq.init_valid_mask = contact_valid;
	error = devm_gpiochip_add_data(&device->dev, chip, own);
	if (!error)
		contact = own;
	return error;
}

static int contact_remove(struct platform_device *device)
{
	contact = NULL;
	return 0;
}

static struct platform_driver contact_driver = {
	.probe = contact_probe,
	.remove = contact_remove,
	.driver = { .name = "contact" },
};
static struct platform_device *contact_device;

static int __init contact_init(void)
{
	int error = platform_driver_register(&contact_driver);

	if (error)
		return error;
	contact_device = platform_device_register_simple("contact", -1, NULL, 0);
	if (IS_ERR(contact_device))
		platform_driver_unregister(&contact_driver);
	return PTR_ERR_OR_ZERO(contact_device);
}

static void __exit contact_exit(void)
{
	platform_device_unregister(contact_device);
	platform_driver_unregister(&contact_driver);
}

module_init(contact_init);
module_exit(contact_exit);
MODULE_DESCRIPTION("GPIO inputs with wires that can be cut");
MODULE_LICENSE("Dual MIT/GPL");
