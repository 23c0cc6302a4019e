"""Bills and their files. Addresses that also match a bill stand in ``apps.reconciliation.statement_urls``."""

from django.urls import path

from apps.statements.views import bills, columns, files, uploads, versions

app_name = "statements"
urlpatterns = [
    path("", bills.statement_list, name="statement_list"),
    path(
        "<int:statement_id>/download/",
        files.statement_download,
        name="statement_download",
    ),
    path("<int:statement_id>/", versions.statement_detail, name="statement_detail"),
    path("<int:statement_id>/changes/", versions.statement_changes, name="statement_changes"),
    path("uploads/<int:upload_id>/", uploads.upload_detail, name="upload_detail"),
    path("uploads/<int:upload_id>/cancel/", uploads.upload_cancel, name="upload_cancel"),
    path("uploads/<int:upload_id>/delete/", uploads.upload_delete, name="upload_delete"),
    path("uploads/<int:upload_id>/download/", uploads.upload_download, name="upload_download"),
    path("columns/<int:account_id>/", columns.columns_edit, name="columns_edit"),
]
