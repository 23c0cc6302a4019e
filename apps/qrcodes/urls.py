"""Scenario codes."""

from django.urls import path

from apps.qrcodes.views import codes, designs, files, lists, making, proofs, studio, templates

app_name = "qrcodes"
urlpatterns = [
    path("", lists.code_list, name="code_list"),
    path("create/", making.code_create, name="code_create"),
    path("templates/", templates.template_list, name="template_list"),
    path("templates/create/", templates.template_create, name="template_create"),
    path("templates/<int:template_id>/", templates.template_change, name="template_change"),
    path("templates/<int:template_id>/switch/", templates.template_switch, name="template_switch"),
    path("designs/", designs.design_list, name="design_list"),
    path("designs/create/", designs.design_create, name="design_create"),
    path("designs/<int:design_id>/", designs.design_change, name="design_change"),
    path("designs/<int:design_id>/image.svg", designs.design_image, name="design_image"),
    path("designs/<int:design_id>/default/", designs.design_default, name="design_default"),
    path("designs/<int:design_id>/delete/", designs.design_delete, name="design_delete"),
    path("check/", proofs.code_check, name="code_check"),
    path("<int:code_id>/proof/", proofs.code_proof, name="code_proof"),
    path("<int:code_id>/studio/", studio.code_studio, name="code_studio"),
    path("<int:code_id>/studio/file/", studio.code_print, name="code_print"),
    path("<int:code_id>/", codes.code_detail, name="code_detail"),
    path("<int:code_id>/image.png", files.code_image, name="code_image"),
    path("<int:code_id>/preview.png", files.code_preview, name="code_preview"),
    path("<int:code_id>/download/", files.code_download, name="code_download"),
    path("<int:code_id>/terminal/", codes.code_terminal, name="code_terminal"),
    path("<int:code_id>/change/", making.code_change, name="code_change"),
    path("<int:code_id>/versions/", making.code_versions, name="code_versions"),
    path(
        "<int:code_id>/versions/<int:number>/withdraw/", making.code_withdraw, name="code_withdraw"
    ),
    path("<int:code_id>/pause/", codes.code_pause, name="code_pause"),
    path("<int:code_id>/resume/", codes.code_resume, name="code_resume"),
    path("<int:code_id>/retire/", codes.code_retire, name="code_retire"),
]
